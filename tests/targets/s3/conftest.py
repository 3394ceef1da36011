"""S3 servers for all tests of the package: they start when they are first asked for."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.servers.moto_s3 import moto_s3
from tests.servers.rclone_s3 import S3Server, rclone_s3
from tests.servers.seaweedfs import seaweedfs
from tests.targets.s3.deliveries import Known

SERVERS: dict[str, Callable[[Path], AbstractContextManager[S3Server]]] = {
    "seaweedfs": seaweedfs,
    "rclone": rclone_s3,
    "moto": moto_s3,
}


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Known]]:
    running: dict[str, Known] = {}
    with ExitStack() as stack:

        def known(kind: str) -> Known:
            if kind not in running:
                server = stack.enter_context(SERVERS[kind](tmp_path_factory.mktemp(kind)))
                running[kind] = Known(kind=kind, server=server)
            return running[kind]

        yield known


@pytest.fixture(params=SERVERS)
def known(request: pytest.FixtureRequest, servers: Callable[[str], Known]) -> Known:
    return servers(request.param)


@pytest.fixture
def weed(servers: Callable[[str], Known]) -> Known:
    return servers("seaweedfs")


@pytest.fixture
def rclone(servers: Callable[[str], Known]) -> Known:
    return servers("rclone")


@pytest.fixture
def moto(servers: Callable[[str], Known]) -> Known:
    return servers("moto")

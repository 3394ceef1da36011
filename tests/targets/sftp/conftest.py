"""Fixtures: the two SFTP servers with their keys, and targets in folders that no other test has used."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from gridhaul.transfer.ports.targets import Facts
from tests.servers.mongod import in_memory
from tests.servers.rclone_sftp import rclone_sftp
from tests.servers.sshd import Keys, SshServer, make_keys, sshd
from tests.targets.sftp.places import Place, Targets

FOLDERS = 200  # are made before the servers start, because rclone sees new ones later
SERVERS: dict[str, Callable[[Path, Keys], AbstractContextManager[SshServer]]] = {"sshd": sshd, "rclone": rclone_sftp}


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def servers(keys: Keys) -> Iterator[dict[str, Place]]:
    """Yield both servers on directories in memory."""
    with ExitStack() as running, in_memory() as top:
        places = {}
        for name, serve in SERVERS.items():
            directory, folders = top / name, [f"inner{number}" for number in range(FOLDERS)]
            for folder in folders:
                (directory / folder).mkdir(parents=True)
            server = running.enter_context(serve(directory, keys))
            places[name] = Place(server=server, key=keys.user, directory=directory, unused=folders)
        yield places


@pytest.fixture(params=list(SERVERS))
def place(request: pytest.FixtureRequest, servers: dict[str, Place]) -> Place:
    """Return a new folder at a server."""
    return servers[request.param].inner()


@pytest.fixture
def sshd_place(servers: dict[str, Place]) -> Place:
    """Return a new folder at the sshd."""
    return servers["sshd"].inner()


@pytest.fixture(scope="session")
def seen() -> dict[str, Facts]:
    """Return the facts of servers that were probed: a probe of rclone's server takes a second."""
    return {}


@pytest.fixture
async def targets(tmp_path: Path, seen: dict[str, Facts]) -> AsyncIterator[Targets]:
    """Yield a maker of targets, which closes them at the end."""
    made = Targets(tmp_path / "targets.toml", seen)
    yield made
    await made.close()

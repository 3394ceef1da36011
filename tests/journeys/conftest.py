"""Fixtures: one whole system for most journeys, with real processes, short leases and three kinds of targets.

The system stops after the last test of the package, because an idle one still takes a twentieth of a core.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gridhaul.embedded.system import Configuration, System
from tests.folders import NewFolder
from tests.journeys.operator import Operator, operating
from tests.servers.http_store import http_store
from tests.servers.webdav import rclone_webdav

SHORT_LEASES = {
    "GRIDHAUL_LEASE_SECONDS": "4",
    "GRIDHAUL_RENEW_SECONDS": "1",
    "GRIDHAUL_DISPATCH_SECONDS": "1",
    "GRIDHAUL_SWEEP_SECONDS": "3",
}


@dataclass(frozen=True)
class Remotes:
    """The directories in which the targets of the shared system keep their objects."""

    webdav: Path
    hashed: Path
    directory: Path
    http: Path

    def of(self, target: str) -> Path:
        return Path(getattr(self, target))


@pytest.fixture(scope="package")
def remotes(new_folder: NewFolder) -> Iterator[Remotes]:
    with new_folder("remotes") as top:
        found = Remotes(top / "webdav", top / "hashed", top / "directory", top / "http")
        for path in (found.webdav, found.hashed, found.directory, found.http):
            path.mkdir()
        yield found


@pytest.fixture(scope="package")
def sources(new_folder: NewFolder) -> Iterator[Path]:
    with new_folder("sources") as folder:
        yield folder


@pytest.fixture(scope="package")
def system(new_folder: NewFolder, sources: Path, remotes: Remotes) -> Iterator[System]:
    with new_folder("system") as data:
        password = data / "webdav-password"
        password.write_text("p")
        with (
            rclone_webdav(remotes.webdav) as plain,
            rclone_webdav(remotes.hashed, etag_hash=True) as hashed,
            http_store(remotes.http) as http,
        ):
            login = f'username = "u"\npassword = {{ file = "{password}" }}\n'
            targets = (
                f'[targets.webdav]\nkind = "webdav"\nurl = "{plain.url}"\n{login}'
                f'[targets.hashed]\nkind = "webdav"\nurl = "{hashed.url}"\netag_digest = "sha-256"\n{login}'
                f'[targets.directory]\nkind = "directory"\npath = "{remotes.directory}"\n'
                f'[targets.http]\nkind = "http"\nurl = "{http.url}"\n'
            )
            configuration = Configuration(
                data=data / "data", roots=(sources,), port=None, environment=SHORT_LEASES, targets_toml=targets
            )
            with System(configuration) as running:
                yield running


@pytest.fixture
def operator(system: System) -> Iterator[Operator]:
    with operating(system) as found:
        yield found

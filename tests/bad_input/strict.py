"""A second api and a second chunk service, with lower limits and shorter timeouts than the system's own."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from gridhaul.embedded.network import free_ports
from gridhaul.embedded.system import System
from tests.bad_input.server_errors import server_errors
from tests.journeys.operator import wait_for
from tests.journeys.processes import first_key, ready, settings_of, started

MAX_FILE_BYTES = 1000
REQUESTS_A_MINUTE = 60
FAILED_LOGINS_A_MINUTE = 2
STALL_SECONDS = 1
LIMITS = {
    "GRIDHAUL_DATABASE": "strict",
    "GRIDHAUL_MAX_FILE_BYTES": str(MAX_FILE_BYTES),
    "GRIDHAUL_REQUESTS_A_MINUTE": str(REQUESTS_A_MINUTE),
    "GRIDHAUL_FAILED_LOGINS_A_MINUTE": str(FAILED_LOGINS_A_MINUTE),
    "GRIDHAUL_STALL_SECONDS": str(STALL_SECONDS),
}


@dataclass(frozen=True, kw_only=True)
class StrictApi:
    """An api with a database of its own, in which no file may be registered."""

    url: str
    token: str
    http: httpx2.Client  # calls as an account with every scope
    root: Path  # the api has a second root, /dev

    def prepare(self, path: object) -> httpx2.Response:
        return self.http.post("/upload/prepare", json={"file_path": path})


@contextmanager
def strict_api(system: System, folder: Path) -> Iterator[StrictApi]:
    root = folder / "root"
    root.mkdir()
    settings = settings_of(system) | LIMITS | {"GRIDHAUL_ROOTS": f"{root}:/dev"}
    with _serving("api.app:app", settings, folder / "api.log") as url:
        token = first_key(settings)
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
            yield StrictApi(url=url, token=token, http=http, root=root)
            assert http.get("/files").json()["files"] == []


@contextmanager
def impatient_api(system: System, folder: Path) -> Iterator[str]:
    """Yield the URL of an api that uses the database of the system, and takes files of `MAX_FILE_BYTES` at most."""
    limits = {name: LIMITS[name] for name in ("GRIDHAUL_STALL_SECONDS", "GRIDHAUL_MAX_FILE_BYTES")}
    settings = settings_of(system) | limits
    with _serving("api.app:app", settings, folder / "api.log") as url:
        yield url


@contextmanager
def strict_chunk_service(system: System, folder: Path) -> Iterator[str]:
    """Yield the URL of a chunk service that uses the database of the system."""
    settings = settings_of(system) | {"GRIDHAUL_STALL_SECONDS": str(STALL_SECONDS)}
    with _serving("chunk_service.app:app", settings, folder / "chunk_service.log") as url:
        yield url


def reads_everything() -> bool:
    """Return whether the api would ignore file permissions: it would run as root, and no setpriv can limit it."""
    return os.geteuid() == 0 and shutil.which("setpriv") is None


@contextmanager
def _serving(app: str, settings: dict[str, str], log: Path) -> Iterator[str]:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    uvicorn = str(Path(sys.executable).with_name("uvicorn"))
    command = [uvicorn, app, "--port", str(port), "--http", "gridhaul.asgi.http_protocol:BoundedHttp"]
    with started([*_unprivileged(), *command], settings, log):
        wait_for(lambda: ready(url), seconds=30, what=f"{app} is ready")
        yield url
    assert server_errors(log) == []


def _unprivileged() -> list[str]:
    """Return the prefix of a command that makes file permissions apply to root, too; empty if none is needed."""
    if os.geteuid() != 0 or reads_everything():
        return []
    return [str(shutil.which("setpriv")), "--bounding-set=-dac_override,-dac_read_search"]

"""A client that sends any bytes to one of the two services, and watches the log and the memory of that service."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from gridhaul.embedded.system import System

TIMEOUT_SECONDS = 30.0


@contextmanager
def connected_to(url: str) -> Iterator[socket.socket]:
    where = urlsplit(url)
    assert where.hostname
    assert where.port
    with socket.create_connection((where.hostname, where.port), timeout=TIMEOUT_SECONDS) as connection:
        yield connection


@dataclass(frozen=True, kw_only=True)
class Peer:
    name: str
    url: str
    json_path: str  # the path of a POST route that takes JSON
    token: str
    pid: int
    log: Path

    @classmethod
    def of(cls, system: System, name: str) -> "Peer":
        url = {"api": system.url, "chunk_service": system.chunk_service_url}[name]
        path = {"api": "/upload/prepare", "chunk_service": f"/contents/{'0' * 24}/seal"}[name]
        log = system.data / "logs" / f"{name}.log"
        return cls(name=name, url=url, json_path=path, token=system.token, pid=system.pid(name), log=log)

    def ask(self, *parts: bytes) -> tuple[int, str]:
        """Send the parts, and return status and body of the answer."""
        with connected_to(self.url) as connection:
            with suppress(OSError):  # the service may answer and close before it has read all parts
                for part in parts:
                    connection.sendall(part)
            response = HTTPResponse(connection)
            response.begin()
            return response.status, response.read().decode()

    def pour(self, head: bytes, parts: Iterable[bytes]) -> int:
        """Send head and parts until the service closes the connection; return how many bytes of the parts were sent.

        The number includes bytes that only reached the buffers of the sockets.
        """
        taken = 0
        with connected_to(self.url) as connection, suppress(OSError):
            connection.sendall(head)
            for part in parts:
                connection.sendall(part)
                taken += len(part)
        return taken

    def goes_on(self) -> bool:
        return httpx2.get(f"{self.url}/healthz", trust_env=False).status_code == 200

    @contextmanager
    def without_traces(self) -> Iterator[None]:
        """Assert that the service logs no traceback during the block, and that the same process answers afterwards."""
        before = self.log.stat().st_size
        yield
        assert self.goes_on()
        assert Path(f"/proc/{self.pid}").exists()
        assert b"Traceback" not in self.log.read_bytes()[before:]

    @contextmanager
    def peak_memory_below(self, extra_bytes: int) -> Iterator[None]:
        """Assert that the process uses less than `extra_bytes` more memory during the block than before."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # reset the peak, VmHWM (proc(5))
        before = self._peak_bytes()
        yield
        assert self._peak_bytes() - before < extra_bytes

    def _peak_bytes(self) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

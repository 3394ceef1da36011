"""Many connections that take no answers, or whose bodies never end: others are answered, and all of them are ended."""

import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest

from gridhaul.embedded.system import System
from tests.bad_input.peer import Peer, connected_to

CONNECTIONS = 20  # of each kind
GONE_SECONDS = 60
FLOOD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 9362  # 256 KiB
HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
ENDLESS = HEALTHZ + b"Content-Length: 100000\r\n\r\n"
CHUNKED = HEALTHZ + b"Transfer-Encoding: chunked\r\n\r\n"
REFUSED = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
KINDS = {
    "pipelined": (FLOOD, b"GET"),
    "body": (ENDLESS, b"x"),
    "refused body": (REFUSED, b"x"),
    "chunks": (CHUNKED, b"1\r\nx\r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"A: b\r\n"),
}


@pytest.fixture(params=["api", "chunk_service"])
def peer(system: System, request: pytest.FixtureRequest) -> Peer:
    system.wait_ready(timeout_seconds=30)
    return Peer.of(system, request.param)


@pytest.mark.alone
def test_floods_and_endless_bodies_disturb_nobody_and_are_ended(peer: Peer) -> None:
    before = _sockets(peer.pid)
    with ExitStack() as opened, peer.without_traces(), peer.peak_memory_below(50 << 20):
        attackers = [
            (opened.enter_context(connected_to(peer.url)), begin, piece)
            for begin, piece in KINDS.values()
            for _ in range(CONNECTIONS)
        ]
        for connection, begin, _ in attackers:
            connection.setblocking(False)
            with suppress(BlockingIOError):
                connection.send(begin)
        begun = time.monotonic()
        slowest = 0.0
        while _sockets(peer.pid) > before:
            assert time.monotonic() - begun < GONE_SECONDS
            for connection, _, piece in attackers:
                with suppress(OSError):
                    connection.send(piece)
            slowest = max(slowest, _healthz_seconds(peer))
        assert slowest < 1


def test_service_may_open_as_many_files_as_the_system_lets_it(peer: Peer) -> None:
    limits = Path(f"/proc/{peer.pid}/limits").read_text().splitlines()
    (soft, hard) = next(line.split()[3:5] for line in limits if line.startswith("Max open files"))
    assert soft == hard


def _healthz_seconds(peer: Peer) -> float:
    begun = time.monotonic()
    assert httpx2.get(f"{peer.url}/healthz", trust_env=False).status_code == 200
    return time.monotonic() - begun


def _sockets(pid: int) -> int:
    """Return how many sockets the process has open."""
    return sum(map(_is_socket, Path(f"/proc/{pid}/fd").iterdir()))


def _is_socket(descriptor: Path) -> bool:
    with suppress(FileNotFoundError):  # closed meanwhile
        return str(descriptor.readlink()).startswith("socket:")
    return False

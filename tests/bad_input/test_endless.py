"""Requests without an end: the service ends them, and keeps little of them in memory."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx2
import pytest

from gridhaul.asgi.lingering_close import LingeringTransport
from gridhaul.embedded.system import System
from tests.bad_input.peer import Peer
from tests.bad_input.table import Row, trying

MIB = 1 << 20
JSON_BYTES = 100 * MIB
SOCKET_BYTES = sum(
    int(Path(f"/proc/sys/net/ipv4/{name}").read_text().split()[2]) for name in ("tcp_rmem", "tcp_wmem")
)  # the sockets of both ends hold at most so many bytes that the service has not read
TAKEN_MOST_BYTES = LingeringTransport.max_discarded_bytes + SOCKET_BYTES + 2 * MIB
POURED_BYTES = TAKEN_MOST_BYTES + 32 * MIB
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK = b"a" * 65536
ENDLESS = {
    "target": (b"GET /", BLOCK),
    "name of a header": (GET, BLOCK),
    "value of a header": (GET + b"A: ", BLOCK),
    "headers": (GET, b"A: b\r\n" * 10_000),
    "extension of a chunk": (CHUNKED + b"1;", BLOCK),
    "trailers": (CHUNKED + b"1\r\n{\r\n0\r\n", b"A: b\r\n" * 10_000),
    "value of a trailer": (CHUNKED + b"1\r\n{\r\n0\r\nA: ", BLOCK),
    "headers after an upgrade": (GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + GET + b"A: ", BLOCK),
    "chunks": (CHUNKED, b"10000\r\n" + BLOCK + b"\r\n"),
    "body": (POST + b"Content-Length: %d\r\n\r\n" % POURED_BYTES, BLOCK),
}


@pytest.fixture(params=["api", "chunk_service"])
def peer(system: System, request: pytest.FixtureRequest) -> Peer:
    system.wait_ready(timeout_seconds=30)
    return Peer.of(system, request.param)


def test_what_has_no_end_is_ended(peer: Peer) -> None:
    """All requests are sent at once, because the service takes seconds to give up a client that goes on sending.

    Together they may use as much memory as one of them.
    """
    with peer.without_traces(), peer.peak_memory_below(8 * MIB):
        with ThreadPoolExecutor(len(ENDLESS)) as threads:
            taken = dict(zip(ENDLESS, threads.map(partial(poured, peer), ENDLESS.values()), strict=True))
        assert {what: length for what, length in taken.items() if length > TAKEN_MOST_BYTES} == {}


def poured(peer: Peer, request: tuple[bytes, bytes]) -> int:
    """Send the head and then the block again and again; return how many bytes were sent before the service ended it."""
    head, block = request
    head = head.replace(b"{path}", peer.json_path.encode()).replace(b"{token}", peer.token.encode())
    return peer.pour(head, [block] * (POURED_BYTES // len(block)))


@trying(Row.JSON)
@pytest.mark.parametrize("declared", [True, False])
def test_a_hundred_megabytes_of_json_are_refused_and_the_client_hears_it(peer: Peer, declared: bool) -> None:
    def body() -> Iterator[bytes]:
        yield b'{"file_path": "'
        for _ in range(JSON_BYTES // len(BLOCK)):
            yield BLOCK

    headers = {"Authorization": f"Bearer {peer.token}", "Content-Type": "application/json"}
    if declared:
        headers["Content-Length"] = str(JSON_BYTES + len(b'{"file_path": "'))
    with peer.without_traces(), peer.peak_memory_below(8 * MIB):
        response = httpx2.post(peer.url + peer.json_path, content=body(), headers=headers, trust_env=False)
    assert response.status_code == 413
    assert response.json()["code"] == "payload_too_large"

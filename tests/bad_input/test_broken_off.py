"""Bodies that end early or stall: the service closes the connection and stores nothing of them."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from tests.bad_input.bench import Bench
from tests.bad_input.peer import connected_to
from tests.bad_input.strict import StrictApi
from tests.bad_input.table import Row, trying
from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.operator import MIB, wait_for

CHUNK = b"a" * MIB
pytestmark = trying(Row.BROKEN_OFF)


def prepare_of(token: str) -> bytes:
    """Return a prepare that breaks off in the middle of its body."""
    lines = ["POST /upload/prepare HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
    lines += ["Content-Type: application/json", "Content-Length: 100", "", '{"file_path": "/']
    return "\r\n".join(lines).encode()


def segment_of(writer: ChunkWriter) -> bytes:
    """Return a request that stores a chunk and breaks off in the middle of the chunk."""
    lines = [f"PUT /contents/{writer.content_id}/chunks/0 HTTP/1.1", "Host: x", f"Content-Length: {MIB}"]
    lines += [f"{name}: {value}" for name, value in writer.headers([CHUNK]).items()]
    return "\r\n".join([*lines, "", ""]).encode() + CHUNK[: MIB // 2]


def require_closed(url: str, data: bytes) -> None:
    """Send the data, shut down the sending side, and read until the service closes the connection."""
    with connected_to(url) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def require_refused_and_closed(url: str, data: bytes) -> None:
    """Send the data and then nothing more; assert that the service answers 408 and closes the connection."""
    with connected_to(url) as connection:
        connection.sendall(data)
        response = HTTPResponse(connection)
        response.begin()
        assert (response.status, response.headers["Connection"]) == (408, "close")
        assert response.headers["Content-Type"] == "application/problem+json"
        response.read()
        assert connection.recv(1) == b""


def require_closed_unanswered(url: str, data: bytes) -> None:
    """Send the data and then nothing more; assert that the service closes the connection without an answer."""
    with connected_to(url) as connection:
        connection.sendall(data)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


@contextmanager
def one_quiet_line(log: Path) -> Iterator[None]:
    """Assert that the service logs the request of the block as one that the client left, and no exception."""
    since = log.stat().st_size
    yield
    wait_for(lambda: disconnects(log, since) or None, seconds=10, what="line of the request that the client left")
    assert [line["status"] for line in disconnects(log, since)] == [499]
    assert b"Traceback" not in log.read_bytes()[since:]


def disconnects(log: Path, since_byte: int) -> list[dict[str, Any]]:
    lines = log.read_bytes()[since_byte:].splitlines()
    return [json.loads(line) for line in lines if b'"disconnected": true' in line]


def test_client_that_leaves_within_json_registers_nothing(bench: Bench) -> None:
    with bench.unchanged(), one_quiet_line(bench.system.data / "logs" / "api.log"):
        require_closed(bench.system.url, prepare_of(bench.http.headers["Authorization"].removeprefix("Bearer ")))


def test_client_that_leaves_within_a_segment_stores_nothing(bench: Bench) -> None:
    writer = ChunkWriter.open(bench.operator, MIB)
    with one_quiet_line(bench.system.data / "logs" / "chunk_service.log"):
        require_closed(writer.url, segment_of(writer))
    require_untouched(writer)


def test_client_that_stalls_within_json_registers_nothing(strict: StrictApi) -> None:
    require_refused_and_closed(strict.url, prepare_of(strict.token))
    assert strict.http.get("/files").json()["files"] == []


def test_client_that_stalls_within_a_segment_stores_nothing(bench: Bench, impatient_chunk_service: str) -> None:
    writer = ChunkWriter.open(bench.operator, MIB, url=impatient_chunk_service)
    require_refused_and_closed(writer.url, segment_of(writer))
    require_untouched(writer)


def require_untouched(writer: ChunkWriter) -> None:
    """Assert that no chunk is stored, and that the same chunk is stored when it is sent whole."""
    assert not any(writer.request("GET", "digests").content)
    assert writer.put(0, [CHUNK]).status_code == 201

"""Connections that are ended: after an answer before the end of the request, or because the answer is not taken."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from gridhaul.asgi import connection_limits
from gridhaul.asgi.connection_limits import HEAD_BYTES
from gridhaul.asgi.lingering_close import LingeringTransport
from tests.asgi.connections import connected, noted, served, timed
from tests.servers.authority import Certificate, new_certificate

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
LONG = HEAD + b"Content-Length: 100000\r\n\r\n"


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Certificate | None:
    return new_certificate(tmp_path / "tls", "127.0.0.1") if request.param == "TLS" else None


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LingeringTransport, "quiet_seconds", 0.05)
    monkeypatch.setattr(LingeringTransport, "discarding_seconds", 0.5)
    monkeypatch.setattr(LingeringTransport, "unread_seconds", 0.5)


async def send_until(lost: asyncio.Event, writer: asyncio.StreamWriter, piece: bytes) -> None:
    """Send the piece again and again, slowly, until the server has lost the connection."""
    while not lost.is_set():
        writer.write(piece)
        await asyncio.sleep(0.02)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (LONG, b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
        (CHUNKED, b""),
        (CHUNKED + b"0\r\n", b"A: b\r\n"),
        (CHUNKED + b"1;", b"x"),
    ],
    ids=["length", "chunks", "silence", "trailers", "chunk extension"],
)
async def test_body_that_nobody_reads_ends_with_the_answer(begin: bytes, piece: bytes) -> None:
    kind, lost = noted()
    async with connected(kind=kind) as (reader, writer):
        writer.write(begin)
        answer = await reader.read()
        await send_until(lost, writer, piece)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer


async def test_body_that_has_arrived_unread_leaves_the_connection_open() -> None:
    async with connected() as (reader, writer):
        for _ in range(3):
            writer.write(HEAD + b"Content-Length: 3\r\n\r\nabc")
            assert b"connection: close" not in await reader.readuntil(b"here")


async def _answer_after_sending_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send a request that the server answers at once, all of its 30 MiB, and only then read the answer."""
    length = 30 << 20
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % length)
    for _ in range(length >> 20):
        writer.write(bytes(1 << 20))
        await writer.drain()
    return await reader.readuntil(b"here")


async def test_client_that_sends_all_before_it_reads_still_gets_the_answer(tls: Certificate | None) -> None:
    """Without the lingering close, the kernel resets the connection and the answer is lost."""
    async with connected(tls=tls) as connection:
        assert b"connection: close" in await _answer_after_sending_all(*connection)


async def test_refused_client_that_expects_100_is_not_told_to_continue() -> None:
    async with connected() as (reader, writer):
        writer.write(HEAD + b"Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n")
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b" 100 " not in answer


async def test_client_that_takes_no_answer_is_disconnected() -> None:
    ended = asyncio.Event()

    async def blocks() -> AsyncGenerator[bytes]:
        try:
            while True:
                yield bytes(1 << 20)
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with connected(StreamingResponse(blocks()), timed(answer_seconds=0.2)) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await ended.wait()


async def test_client_that_takes_its_answer_slowly_stays_connected() -> None:
    length = 8 << 20

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(bytes(length))(scope, receive, send)

    async with connected(large, timed(answer_seconds=0.3)) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        taken = 0
        while taken < length:
            taken += len(await reader.readexactly(1 << 18))
            await asyncio.sleep(0.03)


@pytest.mark.usefixtures("hasty")
async def test_answers_that_wait_when_the_connection_closes_are_given_up() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(bytes(16 << 20))(scope, receive, send)

    kind, lost = noted()
    async with connected(large, kind) as (_, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await lost.wait()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("ending", [b"", b"x"], ids=["whole request", "one byte more"])
async def test_client_that_pauses_before_it_reads_the_end_of_its_answer_gets_all(
    tls: Certificate | None, ending: bytes
) -> None:
    """Over TLS, the kernel may not have taken all that counts as sent when the connection is closed."""
    length = 5_000_000

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(bytes(length))(scope, receive, send)

    kind, lost = noted()
    async with connected(large, kind, tls) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + ending)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.wait([asyncio.create_task(lost.wait())], timeout=0.3)  # several times as long as it may be quiet
        assert len(await reader.readexactly(length)) == length


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"identity", b"chunked;q=1"])
async def test_other_transfer_codings_are_not_implemented(coding: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(HEAD + b"Transfer-Encoding: " + coding + b"\r\n\r\n1\r\na\r\n0\r\n\r\n")
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("rest", "status"),
    [(b"x" * (2 * HEAD_BYTES), b"431"), (b"1\r\nno chunk\r\n", b"400")],
    ids=["extension", "nonsense"],
)
async def test_broken_chunks_end_the_connection_with_one_answer(rest: bytes, status: bytes) -> None:
    """The application learns that the client is gone: a second answer would count for the next request."""
    is_asked, is_told = asyncio.Event(), asyncio.Event()

    async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
        is_asked.set()
        while (await receive()).get("more_body"):
            pass
        is_told.set()
        await PlainTextResponse("late")(scope, receive, send)

    async with connected(read_all) as (reader, writer):
        writer.write(CHUNKED)
        await is_asked.wait()
        writer.write(b"1;" + rest)
        answer = await reader.read()
        await is_told.wait()
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_broken_chunks_after_the_answer_has_begun_get_no_other_answer() -> None:
    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        while (await receive()).get("more_body"):
            pass

    async with connected(begin) as (reader, writer):
        writer.write(CHUNKED)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"nonsense\r\n")
        assert await reader.read() == b""


async def test_connection_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "CONNECTIONS", 2)
    async with served() as connect:
        first, second, (reader, _) = [await connect() for _ in range(3)]
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        for other, writer in (first, second):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await other.readuntil(b"here")


async def test_more_connections_than_files_may_be_open_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "open_file_limit", lambda: connection_limits.OTHER_FILES)
    async with connected() as (reader, _):
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")

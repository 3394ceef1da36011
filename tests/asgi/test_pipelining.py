"""Requests that arrive before the previous answer is complete: they wait unparsed, in order, in bounded memory."""

import asyncio
import contextlib
import gc
import random
import time
import tracemalloc

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from gridhaul.asgi.http_protocol import BoundedHttp
from gridhaul.asgi.pipelining import CHUNKED_BYTES, PIPELINED_REQUESTS
from tests.asgi.connections import connected, served

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MIB = 1 << 20
REFUSED_SECONDS = 1  # what the server does not receive in this time, it refuses to buffer
FLOOD = GET * (256 * 1024 // len(GET))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path, the length of the body and `end`."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['path']} {len(body)} end\n")(scope, receive, send)


def posted(path: str, length: int, *, chunk: int = 0) -> bytes:
    """Return a request whose body contains ends of heads. With `chunk`, the body has chunks of that many bytes."""
    body = (b"a\r\n\r\nGET / HTTP/1.1\r\n\r\n" * (length // 20 + 1))[:length]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode()
    if not chunk:
        return head + b"Content-Length: %d\r\n\r\n" % length + body
    pieces = [body[at : at + chunk] for at in range(0, length, chunk)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nTrailer: x\r\n\r\n"


@pytest.mark.parametrize("seed", range(8))
async def test_requests_cut_anywhere_are_answered_in_their_order(seed: int) -> None:
    """The bytes of 30 requests of all kinds arrive in packets of random lengths."""
    chance = random.Random(seed)
    lengths = [chance.choice((0, 1, 3, 400, 20_000, 150_000)) for _ in range(30)]
    requests = [posted(f"/{n}", length, chunk=chance.choice((0, 0, 7, 3000))) for n, length in enumerate(lengths)]
    sent = b"".join(requests)
    async with connected(echo) as (reader, writer):
        reading = asyncio.create_task(_bodies(reader, len(lengths)))
        at, packets = 0, chance.choice((9, 700, 60_000, len(sent)))
        while at < len(sent):
            taken = chance.randint(1, packets)
            writer.write(sent[at : at + taken])
            await writer.drain()
            if chance.random() < 0.2:
                await asyncio.sleep(0)
            at += taken
        assert await reading == [f"/{n} {length}" for n, length in enumerate(lengths)]


async def _bodies(reader: asyncio.StreamReader, count: int) -> list[str]:
    answers = [await reader.readuntil(b" end\n") for _ in range(count)]
    return [answer.decode().rpartition("\r\n")[2].removesuffix(" end\n") for answer in answers]


async def test_requests_that_come_too_early_are_neither_read_nor_begun() -> None:
    begun, memory_bytes, answering = 0, 0, asyncio.Event()

    async def answer_later(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal begun
        begun += 1
        await answering.wait()
        await PlainTextResponse("here")(scope, receive, send)

    async with connected(answer_later) as (_, writer):
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(64):
                writer.write(FLOOD)
            unread_bytes = await _bytes_that_the_server_does_not_read(writer)
            memory_bytes = tracemalloc.get_traced_memory()[0] - unread_bytes
        finally:
            tracemalloc.stop()
        assert begun == 1
        assert unread_bytes > 32 * len(FLOOD)  # the kernel's buffers hold the others
        assert memory_bytes < 4 * len(FLOOD)
        answering.set()


async def _bytes_that_the_server_does_not_read(writer: asyncio.StreamWriter) -> int:
    """Return the length of what the client could not send, once the server has read nothing for half a second."""
    unread, since = writer.transport.get_write_buffer_size(), time.monotonic()
    while time.monotonic() - since < 0.5:
        await asyncio.sleep(0.01)
        if (now := writer.transport.get_write_buffer_size()) != unread:
            unread, since = now, time.monotonic()
    return unread


async def test_client_that_never_waits_for_answers_has_to_connect_again() -> None:
    async with connected() as (reader, writer):
        writer.write(FLOOD)
        answers = await reader.read()
    assert answers.count(b"200 OK") == PIPELINED_REQUESTS + 1
    assert answers.count(b"connection: close") == 1
    assert answers.rindex(b"connection: close") > answers.rindex(b"200 OK")


async def test_client_that_waits_now_and_then_stays_connected() -> None:
    async with connected() as (reader, writer):
        for _ in range(5):
            writer.write(GET * PIPELINED_REQUESTS)
            for _ in range(PIPELINED_REQUESTS):
                await reader.readuntil(b"here")


async def test_other_client_is_answered_while_many_flood_the_server() -> None:
    begun: list[Scope] = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope)
        await PlainTextResponse("here")(scope, receive, send)

    async with served(answer) as connect:
        floods = [await connect() for _ in range(20)]
        for _, writer in floods:
            writer.write(FLOOD)
        reader, writer = await connect()
        writer.write(GET)
        await reader.readuntil(b"here")
        assert len(begun) < 20 * PIPELINED_REQUESTS


async def test_chunks_of_one_byte_are_parsed_some_at_a_time() -> None:
    """Others are served between the pieces, and the answer need not wait until all is parsed."""
    parsed = 0

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal parsed
        parsed = len((await receive())["body"])
        await PlainTextResponse("refused")(scope, receive, send)

    async with connected(refuse) as (reader, writer):
        writer.write(posted("/", 100_000, chunk=1))
        assert (await reader.read()).endswith(b"refused")
    assert parsed < CHUNKED_BYTES


UPGRADES = {
    "h2c": b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
    "websocket": b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    "connect": b"CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n",
}


@pytest.mark.parametrize("packets", ["one", "many"])
@pytest.mark.parametrize("head", [UPGRADES["h2c"], UPGRADES["websocket"]], ids=["h2c", "websocket"])
async def test_body_of_a_request_with_upgrade_is_no_request(head: bytes, packets: str) -> None:
    """llhttp expects no body after such a head, so a body that looks like a request would be parsed as one."""
    sent = head + b"Content-Length: %d\r\n\r\n" % len(GET) + GET + posted("/next", 400)
    async with connected(echo) as (reader, writer):
        for at in range(0, len(sent), len(sent) if packets == "one" else 5):
            writer.write(sent[at : at + (len(sent) if packets == "one" else 5)])
            await writer.drain()
        assert await _bodies(reader, 2) == [f"/ {len(GET)}", "/next 400"]


@pytest.mark.parametrize("head", UPGRADES.values(), ids=UPGRADES)
async def test_chunked_body_of_a_request_with_upgrade_is_refused(head: bytes) -> None:
    async with connected(echo) as (reader, writer):
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n" + GET)
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_http_1_0_client_is_never_told_to_continue() -> None:
    async with connected(echo) as (reader, writer):
        writer.write(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na")
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 ")


class SoonIdle(BoundedHttp):
    """The protocol with a short keep-alive time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive = 0.2  # type: ignore[assignment]


@pytest.mark.parametrize("lines", [b"\r\n", b"\r", b"\n\r\n"])
async def test_empty_lines_keep_no_connection_open(lines: bytes) -> None:
    async with connected(kind=SoonIdle) as (reader, writer):
        writer.write(GET + lines)
        await reader.readuntil(b"here")
        writer.write(lines)
        assert await reader.read() == b""


async def test_empty_lines_before_a_request_are_ignored() -> None:
    async with connected() as (reader, writer):
        for _ in range(3):
            writer.write(b"\r\n\r\n" + GET)
            await reader.readuntil(b"here")


async def test_chunk_of_many_empty_lines_is_parsed_in_few_turns() -> None:
    """Each end of a line could be the end of the body. To yield to other connections after each would take seconds."""
    turns = 0

    class Counting(BoundedHttp):
        def _parse_held(self) -> None:
            nonlocal turns
            turns += 1
            super()._parse_held()

    data = b"\r\n" * 100_000
    async with connected(echo, Counting) as (reader, writer):
        writer.write(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        assert await _bodies(reader, 1) == [f"/ {len(data)}"]
    assert turns < 4 * len(data) / CHUNKED_BYTES


async def test_chunked_body_is_read_only_as_fast_as_the_application_takes_it() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await go_on.wait()
        await echo(scope, receive, send)

    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    async with connected(app) as (reader, writer):
        writer.write(CHUNKED)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 64 * MIB:
                writer.write(chunk)
                await asyncio.wait_for(writer.drain(), REFUSED_SECONDS)
                sent += 65536
        assert sent < 24 * MIB, "the server reads what the application does not take"
        go_on.set()
        writer.write(b"0\r\n\r\n")
        assert b" end\n" in await reader.readuntil(b" end\n")

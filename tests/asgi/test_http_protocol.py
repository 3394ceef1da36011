"""`BoundedHttp`: it ends connections whose headers never end, and hands bodies to the application whole."""

import asyncio
import hashlib
import os
import random
import time
import tracemalloc

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gridhaul.asgi.body_buffer import BODY_BYTES
from gridhaul.asgi.connection_limits import HEAD_BYTES, HEADERS
from gridhaul.asgi.http_protocol import BoundedHttp
from gridhaul.asgi.trailers import trailers_of
from gridhaul.transfer.joined_parts import SMALL_BYTES
from tests.asgi.connections import connected, timed

REFUSED_SECONDS = 1  # what the server does not receive in this time, it refuses to buffer
RECEIVED_AT_ONCE = 64 << 10  # uvicorn pauses a connection when more than this waits for the application
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def test_client_that_says_nothing_is_not_waited_for() -> None:
    async with connected(kind=timed(head_seconds=0.02)) as (reader, _):
        assert await reader.read() == b""


async def test_headers_that_stop_coming_are_not_waited_for() -> None:
    async with connected(kind=timed(head_seconds=0.02)) as (reader, writer):
        writer.write(REQUEST + b"A: b")
        assert await reader.read() == b""


async def test_headers_of_a_further_request_are_not_waited_for_either() -> None:
    async with connected(kind=timed(head_seconds=0.5)) as (reader, writer):
        writer.write(REQUEST + b"\r\n" + REQUEST)
        answers = await reader.read()
    assert answers.count(b"200 OK") == 1


async def test_answered_client_is_left_to_the_keep_alive() -> None:
    async with connected() as (reader, writer):
        for _ in range(3):
            writer.write(REQUEST + b"\r\n")
            assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200 OK")


async def test_line_without_an_end_is_refused() -> None:
    async with connected() as (reader, writer):
        writer.write(REQUEST + b"A: " + b"a" * HEAD_BYTES)
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_too_many_headers_are_refused() -> None:
    async with connected() as (reader, writer):
        writer.write(REQUEST + b"A: b\r\n" * HEADERS + b"\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_as_many_headers_as_allowed_are_taken() -> None:
    async with connected() as (reader, writer):
        writer.write(REQUEST + b"A: b\r\n" * (HEADERS - 1) + b"\r\n")
        assert (await reader.readuntil(b"here")).startswith(b"HTTP/1.1 200 OK")


async def test_what_is_no_request_is_answered_as_before() -> None:
    async with connected() as (reader, writer):
        writer.write(b"NONSENSE\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")


def digesting_app(pause_seconds: float) -> ASGIApp:
    """Return an app that reads a body part by part, with pauses, and answers with its length and SHA-256."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        total, length = hashlib.sha256(), 0
        async for part in Request(scope, receive).stream():
            total.update(part)
            length += len(part)
            await asyncio.sleep(pause_seconds)
        await PlainTextResponse(f"{length} {total.hexdigest()}")(scope, receive, send)

    return app


@pytest.mark.parametrize("pause_seconds", [0, 0.005])
async def test_bodies_reach_the_application_whole_however_slowly_it_takes_them(pause_seconds: float) -> None:
    """The app receives bodies of one piece and of many pieces, all on one connection."""
    async with connected(app=digesting_app(pause_seconds)) as (reader, writer):
        for length in (0, 1, 1000, 3 << 20, 200_000, 1 << 20, 0, 70_000):
            body = os.urandom(length)
            writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
            for at in range(0, length, 300_000):
                writer.write(body[at : at + 300_000])
                await writer.drain()
            expected = f"{length} {hashlib.sha256(body).hexdigest()}".encode()
            assert (await reader.readuntil(expected)).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("pause_seconds", [0, 0.005])
async def test_pieces_of_every_size_are_joined_in_their_order(pause_seconds: float) -> None:
    sizes = (1, 2, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, 100_000)
    pieces = [os.urandom(size) for size in random.Random(5).choices(sizes, k=300)]
    body = b"".join(pieces)
    async with connected(app=digesting_app(pause_seconds)) as (reader, writer):
        writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n")
        await writer.drain()
        assert await reader.readuntil(f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode())


async def test_little_of_a_body_is_received_before_the_application_asks_for_it() -> None:
    """A request may wait long for its turn. A thousand of them must not fill the memory meanwhile."""
    taken, received_bytes = asyncio.Event(), 0

    class Counting(BoundedHttp):
        def data_received(self, data: bytes) -> None:
            nonlocal received_bytes
            super().data_received(data)
            received_bytes += len(data)

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await taken.wait()
        body = await Request(scope, receive).body()
        await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)

    length = 16 * BODY_BYTES
    async with connected(app=wait, kind=Counting) as (reader, writer):
        writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length + bytes(length))
        while received_bytes < RECEIVED_AT_ONCE:  # noqa: ASYNC110 - nothing tells how much the server has received
            await asyncio.sleep(0.01)
        await asyncio.sleep(REFUSED_SECONDS)
        assert received_bytes < BODY_BYTES // 2
        taken.set()
        assert await reader.readuntil(f"{length} bytes".encode())


async def test_body_in_pieces_of_two_bytes_takes_no_more_memory_than_its_length() -> None:
    taken = asyncio.Event()
    received_bytes, received_at = 0, time.monotonic()

    class Counting(BoundedHttp):
        def data_received(self, data: bytes) -> None:
            nonlocal received_bytes, received_at
            super().data_received(data)
            received_bytes, received_at = received_bytes + len(data), time.monotonic()

    def refuses() -> bool:
        return time.monotonic() - received_at > REFUSED_SECONDS

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        await taken.wait()
        body = await Request(scope, receive).body()
        await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)

    length = BODY_BYTES // 8
    async with connected(app=wait, kind=Counting) as (reader, writer):
        head = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        sent = b"2\r\nxy\r\n" * (length // 2)
        writer.write(head)
        tracemalloc.start()
        try:
            writer.write(sent)
            await writer.drain()
            while received_bytes < len(head + sent) and not refuses():  # noqa: ASYNC110 - an event cannot tell a refusal
                await asyncio.sleep(0.01)
            held_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        taken.set()
        writer.write(b"0\r\n\r\n")
        assert await reader.readuntil(f"{length} bytes".encode())
    assert held_bytes < 2 * length


async def echo_headers(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body, then answer with the names of all header fields in the scope, and `end`."""
    body = await Request(scope, receive).body()
    names = sorted(name.decode() for name, _ in scope["headers"])
    await PlainTextResponse(f"{len(body)} {' '.join(names)} end")(scope, receive, send)


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b"3\r\nabc\r\n"
TRAILERS = b"0\r\nAuthorization: Bearer t\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"


@pytest.mark.parametrize(
    "packets",
    [
        [CHUNKED + BODY + TRAILERS],
        [CHUNKED, BODY, TRAILERS],
        [CHUNKED + BODY, *(TRAILERS[at : at + 7] for at in range(0, len(TRAILERS), 7))],
    ],
    ids=["one packet", "three packets", "many packets"],
)
async def test_trailer_fields_are_no_header_fields(packets: list[bytes]) -> None:
    async with connected(app=echo_headers) as (reader, writer):
        for packet in packets:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0.01)  # lets the server receive each packet for itself
        answer = await reader.readuntil(b" end")
        assert answer.endswith(b"3 host transfer-encoding end")
        writer.write(REQUEST + b"Authorization: Bearer t\r\n\r\n")  # this is a header field again
        assert (await reader.readuntil(b" end")).endswith(b"0 authorization host end")


@pytest.mark.parametrize("packet", [TRAILERS, b"0\r\n\r\n"], ids=["trailers", "none"])
async def test_trailer_fields_are_kept_apart_and_known_once_the_body_has_ended(packet: bytes) -> None:
    async def tell(scope: Scope, receive: Receive, send: Send) -> None:
        before = len(trailers_of(scope))
        while (await receive())["more_body"]:
            pass
        await PlainTextResponse(f"{before} {dict(trailers_of(scope))} end")(scope, receive, send)

    async with connected(app=tell) as (reader, writer):
        writer.write(CHUNKED + BODY)
        await writer.drain()
        await asyncio.sleep(0.05)  # lets the application look before the trailer section has come
        writer.write(packet)
        fields = {"authorization": "Bearer t", "x-forwarded-for": "192.0.2.1"} if packet == TRAILERS else {}
        assert (await reader.readuntil(b" end")).endswith(f"0 {fields} end".encode())
        writer.write(REQUEST + b"Content-Length: 0\r\n\r\n")  # nothing is left of the request before
        assert (await reader.readuntil(b" end")).endswith(b"0 {} end")


async def test_trailer_fields_without_number_are_refused() -> None:
    async with connected(app=echo_headers) as (reader, writer):
        writer.write(CHUNKED + BODY + b"0\r\n" + b"A:b\r\n" * (HEADERS + 2))
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")


async def test_trailer_fields_without_an_end_are_refused() -> None:
    async with connected(app=echo_headers) as (reader, writer):
        writer.write(CHUNKED + BODY + b"0\r\nA: " + b"a" * (2 * HEAD_BYTES))
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.count(b"HTTP/1.1 ") == 1

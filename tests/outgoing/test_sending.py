"""Requests whose body is made while a thread sends it, over real connections."""

import asyncio
import hashlib
import os
import select
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from gridhaul.outgoing.http_client import make_client
from gridhaul.outgoing.line import Line
from gridhaul.outgoing.sending import LEAVING, MADE_AHEAD, Senders, _Body
from gridhaul.outgoing.tls import tls_context
from tests.servers.authority import new_certificate

MIB = 1 << 20
MORE_THAN_BUFFERS_MIB = 64
BLOCKS = 4
SOON_SECONDS = 2.0
DEADLINE_SECONDS = 20.0
KEPT_SECONDS = 0.05
LOOKS = 5
SETTLED_SECONDS = 0.1  # what must not happen would happen in this time

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(
    handler: Handler, tls: ssl.SSLContext | None = None, *, host: str = "localhost"
) -> AsyncGenerator[str]:
    """Yield the URL of a server, which keeps a connection open after its handler has returned."""
    over = asyncio.Event()
    handling: set[asyncio.Task[object]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handling.add(task)
        try:
            await handler(reader, writer)
            await over.wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has closed the connection
        finally:
            writer.transport.abort()
            handling.remove(task)

    async with await asyncio.start_server(handle, host, ssl=tls) as server:
        try:
            scheme = "https" if tls else "http"
            yield f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}/x"
        finally:
            over.set()
            await until(lambda: not handling)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition is true. Fails after DEADLINE_SECONDS."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not true for {DEADLINE_SECONDS} s"
        await asyncio.sleep(0.002)


async def settled(count: Callable[[], int]) -> int:
    """Wait until the count stays the same for SETTLED_SECONDS, and return it. Fails after DEADLINE_SECONDS."""
    last, since = count(), time.monotonic()

    def is_settled() -> bool:
        nonlocal last, since
        if count() != last:
            last, since = count(), time.monotonic()
        return time.monotonic() - since >= SETTLED_SECONDS

    await until(is_settled)
    return last


async def until_blocked(http: httpx2.AsyncClient) -> None:
    """Wait until the buffers between the client and its server are full, so that the sending thread waits in a write.

    Looks several times in a row, because the kernel may still be moving bytes to the server's buffer.
    """
    full = 0

    def is_full() -> bool:
        nonlocal full
        full = full + 1 if _takes_nothing(http) else 0
        return full == LOOKS

    await until(is_full)


def _takes_nothing(http: httpx2.AsyncClient) -> bool:
    """Return whether the client has one connection in use, and the kernel takes no more bytes for it."""
    busy = http._transport._senders._busy  # type: ignore[attr-defined]
    handles = [sender._line._handle for sender in busy if sender._line._handle is not None]
    if len(handles) != 1:
        return False
    writable = select.poll()
    writable.register(handles[0], select.POLLOUT)
    return not writable.poll(0)


async def head(reader: asyncio.StreamReader) -> None:
    await reader.readuntil(b"\r\n\r\n")


def answer(status: str, more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n{more}\r\n".encode()


async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.transport.pause_reading()  # type: ignore[attr-defined]


class Blocks:
    """A body of `mib` blocks of 1 MiB. It counts the blocks that were made, and notes whether it was closed."""

    def __init__(self, mib: int) -> None:
        self.length = mib * MIB
        self.made = 0
        self.is_closed = False

    async def stream(self) -> AsyncGenerator[bytes]:
        try:
            while self.made * MIB < self.length:
                self.made += 1
                yield bytes(MIB)
        finally:
            self.is_closed = True


async def put(http: httpx2.AsyncClient, url: str, blocks: Blocks, *, write_seconds: float = 60) -> httpx2.Response:
    timeout = httpx2.Timeout(60, write=write_seconds)
    headers = {"Content-Length": str(blocks.length)}
    return await http.put(url, content=blocks.stream(), headers=headers, timeout=timeout)


async def cancelled(sending: asyncio.Task[httpx2.Response]) -> None:
    began = time.monotonic()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert time.monotonic() - began < SOON_SECONDS


@pytest.mark.parametrize("pace", [0, 0.0005, 0.002])
async def test_blocks_of_any_length_arrive_in_order_however_fast_they_are_read(pace: float) -> None:
    arrived = hashlib.sha256()
    buffers = [os.urandom(length) for length in (10, MIB, 3, 1, 5 * MIB, MIB - 1, 65536)] * 5
    length = sum(map(len, buffers))

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        left = length
        while left:
            part = await reader.read(MIB)
            arrived.update(part)
            left -= len(part)
            await asyncio.sleep(pace)
        writer.write(answer("201 Created"))

    async def body() -> AsyncGenerator[bytes]:
        for number, buffer in enumerate(buffers):
            yield buffer
            if number % 9 == 0:
                await asyncio.sleep(0.01)  # let the thread take every block that was made

    async with serving(read) as url, make_client() as http:
        response = await http.put(url, content=body(), headers={"Content-Length": str(length)})
    assert response.status_code == 201
    assert arrived.digest() == hashlib.sha256(b"".join(buffers)).digest()


async def test_answer_is_given_whole() -> None:
    told = os.urandom(3 * MIB)

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.readexactly(MIB)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
        await writer.drain()

    async with serving(tell) as url, make_client() as http:
        assert (await put(http, url, Blocks(1))).content == told


async def test_nothing_is_made_while_nothing_is_sent() -> None:
    blocks = Blocks(MORE_THAN_BUFFERS_MIB)
    async with serving(never_read) as url, make_client() as http:
        sending = asyncio.create_task(put(http, url, blocks))
        await until_blocked(http)
        made = await settled(lambda: blocks.made)
        assert blocks.made == made < MORE_THAN_BUFFERS_MIB
        await cancelled(sending)


async def test_few_blocks_are_made_ahead_and_each_is_told_right_before_it_leaves() -> None:
    """A process may be suspended between making and sending a block, and lose its lease in the meantime."""
    blocks = Blocks(3 * MADE_AHEAD)
    told: list[int] = []
    stream = httpx2.Request("PUT", "http://h", content=blocks.stream()).stream
    body = _Body(stream, told.append)  # type: ignore[arg-type]
    taking = iter(body)

    async def until_made(number: int) -> None:
        await until(lambda: blocks.made >= number)
        for _ in range(10):
            await asyncio.sleep(0)  # in each pass of the event loop one more block could be made

    for taken in range(1, 2 * MADE_AHEAD):
        await asyncio.to_thread(next, taking)
        await until_made(taken + MADE_AHEAD)
        assert (blocks.made, told) == (taken + MADE_AHEAD, [MIB] * taken)
    await body.stopped()


@pytest.mark.parametrize("told", [0, 1, 3])
async def test_nothing_leaves_that_must_not(told: int) -> None:
    arrived = bytearray()
    is_cut = asyncio.Event()
    blocks = Blocks(8)
    left: list[int] = []

    class Lost(Exception):
        pass

    def leaving(length: int) -> None:
        if len(left) == told:
            raise Lost
        left.append(length)

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(MIB):
            arrived.extend(part)
        is_cut.set()

    async with serving(read) as url, make_client() as http:
        with pytest.raises(Lost):
            await http.put(
                url, content=blocks.stream(), headers={"Content-Length": str(8 * MIB)}, extensions={LEAVING: leaving}
            )
        await asyncio.wait_for(is_cut.wait(), SOON_SECONDS)
    assert left == [0, MIB, MIB][:told]
    head, _, body = arrived.partition(b"\r\n\r\n")
    assert bool(head) is (told > 0)
    assert len(body) == sum(left)
    assert blocks.is_closed


async def test_body_that_nobody_takes_times_out() -> None:
    blocks = Blocks(MORE_THAN_BUFFERS_MIB)
    async with serving(never_read) as url, make_client() as http:
        began = time.monotonic()
        with pytest.raises(httpx2.TransportError):
            await put(http, url, blocks, write_seconds=0.1)
        assert time.monotonic() - began < SOON_SECONDS
    assert blocks.is_closed


async def test_cancelled_while_nobody_reads_ends_at_once() -> None:
    blocks = Blocks(MORE_THAN_BUFFERS_MIB)
    async with serving(never_read) as url, make_client() as http:
        sending = asyncio.create_task(put(http, url, blocks))
        await until_blocked(http)
        await cancelled(sending)
        assert blocks.is_closed


async def test_cancelled_over_tls_ends_at_once(tmp_path: Path) -> None:
    certificate = new_certificate(tmp_path / "ours", "localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate.chain, certificate.key)
    async with serving(never_read, server) as url, make_client(tls=tls_context(certificate.ca_file)) as http:
        sending = asyncio.create_task(put(http, url, Blocks(MORE_THAN_BUFFERS_MIB)))
        await until_blocked(http)
        await cancelled(sending)


async def test_cancelled_before_the_answer_ends_at_once() -> None:
    has_arrived = asyncio.Event()
    blocks = Blocks(1)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.readexactly(MIB)
        has_arrived.set()

    async with serving(say_nothing) as url, make_client() as http:
        sending = asyncio.create_task(put(http, url, blocks))
        await until(lambda: has_arrived.is_set() and blocks.is_closed)  # only the answer is missing
        await cancelled(sending)


async def test_cancelled_while_the_next_block_is_made_ends_at_once_and_the_body_is_cut_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived = bytearray()
    is_stalled, is_cut = asyncio.Event(), asyncio.Event()
    cut = Line.cut

    def cut_late(line: Line) -> None:
        time.sleep(0.05)  # the thread would send the end of the body in this time
        cut(line)

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(MIB):
            arrived.extend(part)
        is_cut.set()

    async def stalls() -> AsyncGenerator[bytes]:
        for _ in range(BLOCKS):
            yield b"a"
        is_stalled.set()
        await asyncio.sleep(600)

    monkeypatch.setattr(Line, "cut", cut_late)
    async with serving(read) as url, make_client() as http:
        sending = asyncio.create_task(http.put(url, content=stalls()))  # a chunked body, whose end the server can see
        await until(lambda: is_stalled.is_set() and arrived.endswith(b"1\r\na\r\n" * BLOCKS))
        await cancelled(sending)
        await asyncio.wait_for(is_cut.wait(), SOON_SECONDS)
    assert arrived.endswith(b"\r\n1\r\na\r\n")


async def test_nothing_follows_a_block_that_was_sent_in_part() -> None:
    arrived = bytearray()
    is_cut, resumed = asyncio.Event(), asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await resumed.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        while part := await reader.read(MIB):
            arrived.extend(part)
        is_cut.set()

    async def body() -> AsyncGenerator[bytes]:
        yield b"a" * MORE_THAN_BUFFERS_MIB * MIB
        for _ in range(8):
            yield b"b" * MIB

    async with serving(stall) as url, make_client() as http:
        with pytest.raises(httpx2.TransportError):
            await http.put(
                url,
                content=body(),
                headers={"Content-Length": str((MORE_THAN_BUFFERS_MIB + 8) * MIB)},
                timeout=httpx2.Timeout(1, write=0.1),
            )
        resumed.set()
        await asyncio.wait_for(is_cut.wait(), SOON_SECONDS)
    assert 0 < len(arrived) < MORE_THAN_BUFFERS_MIB * MIB
    assert set(arrived) == set(b"a")


async def test_error_of_the_body_passes_through_and_cuts_it_short() -> None:
    arrived = bytearray()
    is_cut = asyncio.Event()

    class Damaged(Exception):
        pass

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        while part := await reader.read(MIB):
            arrived.extend(part)
        is_cut.set()

    async def breaks() -> AsyncGenerator[bytes]:
        for _ in range(5):
            yield bytes(MIB)
        raise Damaged

    async with serving(read) as url, make_client() as http:
        with pytest.raises(Damaged):
            await http.put(url, content=breaks(), headers={"Content-Length": str(6 * MIB)})
        await asyncio.wait_for(is_cut.wait(), SOON_SECONDS)
    assert len(arrived) <= 5 * MIB


async def test_refusal_that_comes_before_the_body_has_gone_is_read() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(answer("507 Insufficient Storage", "Connection: close\r\n"))
        await writer.drain()
        while await reader.read(MIB):
            pass

    blocks = Blocks(8)
    async with serving(refuse) as url, make_client() as http:
        assert (await put(http, url, blocks)).status_code == 507
    assert blocks.is_closed


async def test_success_that_comes_before_the_body_has_gone_is_none() -> None:
    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(answer("201 Created"))
        await until_blocked(http)
        writer.transport.abort()  # the answer was sent before

    async with serving(hasty) as url, make_client() as http:
        with pytest.raises(httpx2.RemoteProtocolError, match="before the whole body"):
            await put(http, url, Blocks(MORE_THAN_BUFFERS_MIB))


class SlowToEnd:
    """A body that stalls after four blocks, and whose stream takes a while to close."""

    def __init__(self) -> None:
        self.closes = asyncio.Event()
        self.is_closed = False

    async def stream(self) -> AsyncGenerator[bytes]:
        try:
            for _ in range(BLOCKS):
                yield bytes(MORE_THAN_BUFFERS_MIB // BLOCKS * MIB)
            await asyncio.sleep(600)
        finally:
            self.closes.set()
            await asyncio.sleep(0.1)  # a sender that does not wait for the stream would end in this time
            self.is_closed = True


async def test_cancelled_waits_until_what_makes_the_blocks_has_ended() -> None:
    blocks = SlowToEnd()
    async with serving(never_read) as url, make_client() as http:
        sending = asyncio.create_task(http.put(url, content=blocks.stream()))
        await until_blocked(http)
        await cancelled(sending)
        assert blocks.is_closed


async def test_cancelled_after_an_early_answer_is_cancelled() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(answer("507 Insufficient Storage"))
        await until_blocked(http)
        writer.transport.abort()

    blocks = SlowToEnd()

    async def send(url: str) -> httpx2.Response:
        async with aclosing(blocks.stream()) as stream:
            return await http.put(url, content=stream)

    async with serving(refuse) as url, make_client() as http:
        sending = asyncio.create_task(send(url))
        # The answer closes the stream: no other event could, because the stream stalls.
        await asyncio.wait_for(blocks.closes.wait(), DEADLINE_SECONDS)
        assert not blocks.is_closed
        await cancelled(sending)
        assert blocks.is_closed


async def test_cancelled_in_a_handshake_that_does_not_go_on_ends_at_once() -> None:
    has_begun = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        has_begun.set()

    async with serving(say_nothing) as url, make_client() as http:
        sending = asyncio.create_task(put(http, url.replace("http:", "https:"), Blocks(1)))
        await asyncio.wait_for(has_begun.wait(), DEADLINE_SECONDS)
        await cancelled(sending)


async def test_closing_the_client_ends_what_is_under_way() -> None:
    async with serving(never_read) as url:
        async with make_client() as http:
            sending = asyncio.create_task(put(http, url, Blocks(MORE_THAN_BUFFERS_MIB)))
            await until_blocked(http)
        with pytest.raises(httpx2.TransportError):
            await asyncio.wait_for(sending, SOON_SECONDS)


async def test_another_address_of_the_host_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.readexactly(MIB)
        writer.write(answer("201 Created"))

    async def addresses(host: str, port: int, **_: object) -> list[object]:
        assert host == "localhost"
        return [(0, 0, 0, "", (one, port)) for one in ("127.0.0.99", "127.0.0.1")]  # no server is at the first

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", addresses)
    async with serving(read, host="127.0.0.1") as url, make_client() as http:
        assert (await put(http, url, Blocks(1))).status_code == 201


async def test_host_without_an_address_is_not_reached() -> None:
    async with make_client() as http:
        with pytest.raises(httpx2.ConnectError):
            await put(http, "http://nowhere.invalid/x", Blocks(1))


async def test_connections_that_were_not_used_for_a_while_are_closed() -> None:
    opened, closed = 0, 0

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened, closed
        opened += 1
        with suppress(asyncio.IncompleteReadError):
            while True:
                await head(reader)
                await reader.readexactly(1)
                writer.write(answer("201 Created"))
        closed += 1

    async def block() -> AsyncGenerator[bytes]:
        yield b"a"

    senders = Senders(tls_context(), at_once=3, kept_seconds=KEPT_SECONDS)

    async def send(url: str) -> None:
        request = httpx2.Request("PUT", url, content=block(), headers={"Content-Length": "1"})
        response = await senders.send(request)
        await response.aread()

    async with serving(read) as url:
        await asyncio.gather(*(send(url) for _ in range(3)))
        await asyncio.sleep(2 * KEPT_SECONDS)  # the connections expire by the clock
        await send(url)
        await until(lambda: closed >= 3)
        await settled(lambda: closed)
        assert (opened, closed) == (4, 3)
        senders.close()


async def test_connection_is_used_again_and_after_a_cut_another_one() -> None:
    connections = 0

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await head(reader)
            await reader.readexactly(MIB)
            writer.write(answer("201 Created"))

    async with serving(read) as url, make_client() as http:
        for _ in range(3):
            await put(http, url, Blocks(1))
        assert connections == 1
        sending = asyncio.create_task(put(http, url, Blocks(1)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await cancelled(sending)
        await put(http, url, Blocks(1))
        await asyncio.gather(*(put(http, url, Blocks(1)) for _ in range(3)))
        assert connections <= 5


async def test_nothing_is_left_open() -> None:
    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.readexactly(MIB)
        writer.write(answer("201 Created"))

    tls = tls_context()
    before = open_handles()
    for number in range(20):
        async with serving(read) as url, make_client(tls=tls) as http:
            await put(http, url, Blocks(1))
            sending = asyncio.create_task(put(http, url, Blocks(1)))
            await asyncio.sleep(number / 2000)  # any moment is right to cancel at, before the answer or after it
            await cancelled(sending)
    await until(lambda: open_handles() <= before + 3)


def open_handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))

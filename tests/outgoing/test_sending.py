"""Bodies of many blocks, which a thread sends over real connections."""

import asyncio
import gc
import hashlib
import os
import select
import ssl
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Event

import httpx2
import pytest

from gridhaul.outgoing.http_client import make_client
from gridhaul.outgoing.line import Line
from gridhaul.outgoing.sending import ANSWER_MOST_BYTES, Body, Senders
from gridhaul.outgoing.tls import tls_context
from gridhaul.process.stages import StagesStopped
from tests.servers.authority import new_certificate

pytestmark = pytest.mark.alone  # how soon a sender stops is measured

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
    """Blocks of 1 MiB, `mib` of them, counted as they are taken. With `stalls`, the thread then waits for `stop`."""

    def __init__(self, mib: int, *, stalls: bool = False) -> None:
        self.length = mib * MIB
        self.taken = 0
        self._stalls = stalls
        self.stopped = Event()
        self.is_over = False

    def __iter__(self) -> Iterator[bytes]:
        while self.taken * MIB < self.length:
            self.taken += 1
            yield bytes(MIB)
        if self._stalls:
            self.stopped.wait()
            raise StagesStopped
        self.is_over = True


async def send(
    http: httpx2.AsyncClient,
    url: str,
    body: Body,
    *,
    length: int | None = None,
    read_seconds: float = 60,
    write_seconds: float = 60,
) -> httpx2.Response:
    """PUT the body. Without a length it is sent in HTTP's chunked encoding, whose end the server can see."""
    headers = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    timeout = httpx2.Timeout(60, read=read_seconds, write=write_seconds)
    request = http.build_request("PUT", url, headers=headers, timeout=timeout)
    request.stream = body
    return await http.send(request)


async def put(http: httpx2.AsyncClient, url: str, blocks: Blocks, *, write_seconds: float = 60) -> httpx2.Response:
    body = Body(blocks, stop=blocks.stopped.set)
    return await send(http, url, body, length=blocks.length, write_seconds=write_seconds)


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

    def body() -> Iterator[bytes]:
        for number, buffer in enumerate(buffers):
            yield buffer
            if number % 9 == 0:
                time.sleep(0.01)  # lets the server receive all that was sent before

    async with serving(read) as url, make_client() as http:
        response = await send(http, url, Body(body()), length=length)
    assert response.status_code == 201
    assert arrived.digest() == hashlib.sha256(b"".join(buffers)).digest()


@pytest.mark.parametrize("length", [0, 1, ANSWER_MOST_BYTES, 3 * MIB])
async def test_of_the_answer_so_much_is_read_and_the_next_request_gets_its_own(length: int) -> None:
    told = os.urandom(length)

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await head(reader)
            await reader.readexactly(MIB)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(told) + told)
            await writer.drain()

    async with serving(tell) as url, make_client() as http:
        for _ in range(3):
            assert (await put(http, url, Blocks(1))).content == told[:ANSWER_MOST_BYTES]


async def test_nothing_is_taken_while_nothing_is_sent() -> None:
    blocks = Blocks(MORE_THAN_BUFFERS_MIB)
    async with serving(never_read) as url, make_client() as http:
        sending = asyncio.create_task(put(http, url, blocks))
        await asyncio.sleep(0.5)
        taken = blocks.taken
        await asyncio.sleep(0.3)
        assert blocks.taken == taken < MORE_THAN_BUFFERS_MIB
        await cancelled(sending)


def test_each_block_is_told_when_it_is_wanted_and_not_before() -> None:
    """A process may be stopped between two blocks, and may have lost its lease when it continues."""
    blocks = Blocks(3)
    told: list[int] = []
    body = Body(blocks, leaving=told.append)
    for taken, _ in enumerate(body, 1):
        assert (blocks.taken, told) == (taken, [MIB] * taken)
    assert body.is_sent


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
            await send(http, url, Body(blocks, leaving=leaving), length=blocks.length)
        await asyncio.wait_for(is_cut.wait(), SOON_SECONDS)
    assert left == [0, MIB, MIB][:told]
    head, _, body = arrived.partition(b"\r\n\r\n")
    assert bool(head) is (told > 0)
    assert len(body) == sum(left)


async def test_body_that_nobody_takes_times_out() -> None:
    blocks = Blocks(MORE_THAN_BUFFERS_MIB)
    async with serving(never_read) as url, make_client() as http:
        began = time.monotonic()
        with pytest.raises(httpx2.TransportError):
            await put(http, url, blocks, write_seconds=0.1)
        assert time.monotonic() - began < SOON_SECONDS


async def test_cancelled_while_nobody_reads_ends_at_once() -> None:
    blocks = Blocks(MORE_THAN_BUFFERS_MIB)
    async with serving(never_read) as url, make_client() as http:
        sending = asyncio.create_task(put(http, url, blocks))
        await until_blocked(http)
        await cancelled(sending)


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
        await until(lambda: has_arrived.is_set() and blocks.is_over)  # only the answer is missing
        await cancelled(sending)


async def test_cancelled_while_the_next_block_is_made_ends_at_once_and_the_body_is_cut_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrived = bytearray()
    is_cut = asyncio.Event()
    cut = Line.cut

    def cut_late(line: Line) -> None:
        time.sleep(0.05)  # the thread would send the end of the body in this time
        cut(line)

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(MIB):
            arrived.extend(part)
        is_cut.set()

    blocks = Blocks(BLOCKS, stalls=True)
    monkeypatch.setattr(Line, "cut", cut_late)
    async with serving(read) as url, make_client() as http:
        sending = asyncio.create_task(send(http, url, Body(blocks, stop=blocks.stopped.set)))
        await until(lambda: arrived.count(b"100000\r\n") == BLOCKS and arrived.endswith(bytes(MIB) + b"\r\n"))
        await cancelled(sending)
        await asyncio.wait_for(is_cut.wait(), SOON_SECONDS)
    assert arrived.endswith(b"\r\n100000\r\n" + bytes(MIB) + b"\r\n")


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

    length = (MORE_THAN_BUFFERS_MIB + 8) * MIB

    def body() -> Iterator[bytes]:
        yield b"a" * MORE_THAN_BUFFERS_MIB * MIB
        for _ in range(8):
            yield b"b" * MIB

    async with serving(stall) as url, make_client() as http:
        with pytest.raises(httpx2.TransportError):
            await send(http, url, Body(body()), length=length, write_seconds=0.1)
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

    def breaks() -> Iterator[bytes]:
        for _ in range(5):
            yield bytes(MIB)
        raise Damaged

    async with serving(read) as url, make_client() as http:
        with pytest.raises(Damaged):
            await send(http, url, Body(breaks()), length=6 * MIB)
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

    senders = Senders(tls_context(), at_once=3, kept_seconds=0.2)

    async def send_one(url: str) -> None:
        await senders.send(httpx2.Request("PUT", url, headers={"Content-Length": "1"}), Body([b"a"]))

    async with serving(read) as url:
        await asyncio.gather(*(send_one(url) for _ in range(3)))
        await asyncio.sleep(0.3)
        await send_one(url)
        await asyncio.sleep(0.1)
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


async def test_blocks_of_a_failed_request_are_not_kept() -> None:
    chunk = bytes(MIB)
    gc.disable()  # the exception and the frames of the libraries form cycles, which must not hold the blocks
    try:
        async with serving(never_read) as url, make_client() as http:
            before = sys.getrefcount(chunk)
            for blocks in ([chunk], [chunk, bytes(MORE_THAN_BUFFERS_MIB * MIB)]):
                length = sum(map(len, blocks))
                with pytest.raises(httpx2.TimeoutException):
                    await send(http, url, Body(blocks), length=length, read_seconds=0.1, write_seconds=0.1)
                del blocks
            assert sys.getrefcount(chunk) == before
    finally:
        gc.enable()


async def test_body_is_sent_once() -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.readexactly(1)
        writer.write(answer("201 Created"))

    body = Body([b"a"])
    async with serving(take) as url, make_client() as http:
        await send(http, url, body, length=1)
        with pytest.raises(httpx2.StreamConsumed):
            await send(http, url, body, length=1)

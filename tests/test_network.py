"""Plain connections whose large writes are made in threads."""

import asyncio
import errno
import hashlib
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpcore2
import pytest

from gridhaul.http import make_client
from gridhaul.network import GATHERED_BYTES, LARGE_BYTES, ThreadedWrites

MIB = 1 << 20
MORE_THAN_BUFFERS_BYTES = 64 * MIB

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncGenerator[int]:
    """A server's port. Connections stay when their handler has ended."""
    over = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handler(reader, writer)
        await over.wait()
        writer.transport.abort()

    async with await asyncio.start_server(handle, "127.0.0.1") as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            over.set()
            await asyncio.sleep(0.05)


@asynccontextmanager
async def connected(handler: Handler) -> AsyncGenerator[httpcore2.AsyncNetworkStream]:
    async with serving(handler) as port:
        stream = await ThreadedWrites().connect_tcp("127.0.0.1", port, timeout=5)
        try:
            yield stream
        finally:
            await stream.aclose()


async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    never_read_again(writer)


def never_read_again(writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]


async def test_small_and_large_writes_arrive_in_order() -> None:
    arrived = hashlib.sha256()

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(MIB):
            arrived.update(part)
            await asyncio.sleep(0.001)  # slow enough for full buffers
            if part.endswith(b"end"):
                writer.write(arrived.digest())

    sent = [os.urandom(length) for length in (10, MIB, 3, LARGE_BYTES, LARGE_BYTES - 1, 5 * MIB, 1)] * 3 + [b"end"]
    async with connected(read) as stream:
        for buffer in sent:
            await stream.write(buffer, timeout=10)
        assert await stream.read(100, timeout=10) == hashlib.sha256(b"".join(sent)).digest()


async def test_large_writes_after_pauses_arrive_whole() -> None:
    arrived = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        while part := await reader.read(MIB):
            arrived += len(part)
            if arrived == 40 * MIB:
                writer.write(b"all")

    async with connected(count) as stream:
        for number in range(40):
            await stream.write(bytes(MIB), timeout=10)
            if number % 3 == 0:
                await asyncio.sleep(0.05)  # everything is on its way by then, or has arrived
        assert await stream.read(100, timeout=5) == b"all"


async def test_many_large_writes_arrive_in_order_however_fast_they_are_read() -> None:
    buffers = [os.urandom(LARGE_BYTES + 997 * number % MIB) for number in range(60)]
    for pace in (0, 0, 1, 7):
        arrived, expected = hashlib.sha256(), hashlib.sha256()
        length = 10 * sum(map(len, buffers))

        async def read(
            reader: asyncio.StreamReader,
            writer: asyncio.StreamWriter,
            pace: int = pace,
            arrived: Any = arrived,
            left: int = length,
        ) -> None:
            while left and (part := await reader.read(MIB)):
                arrived.update(part)
                left -= len(part)
                if pace and left % 13 < pace:
                    await asyncio.sleep(0.0005)
            writer.write(b"all")

        async with connected(read) as stream:
            for number in range(600):
                buffer = buffers[number * 7 % 60]
                expected.update(buffer)
                await stream.write(buffer, timeout=10)
                if number % (3 + pace) == 0:
                    await asyncio.sleep(0)
            assert await stream.read(100, timeout=10) == b"all"
        assert arrived.digest() == expected.digest()


async def test_write_that_nobody_takes_times_out() -> None:
    async with connected(never_read) as stream:
        await stream.write(bytes(MORE_THAN_BUFFERS_BYTES), timeout=0.3)
        with pytest.raises(httpcore2.WriteTimeout):
            await stream.write(b"", timeout=10)


async def test_cancelled_write_ends_at_once() -> None:
    async with connected(never_read) as stream:
        await stream.write(bytes(MORE_THAN_BUFFERS_BYTES), timeout=60)
        writing = asyncio.create_task(stream.write(bytes(GATHERED_BYTES + 1), timeout=60))
        await asyncio.sleep(0.3)
        began = time.monotonic()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert time.monotonic() - began < 2


async def test_no_more_is_gathered_than_was_said() -> None:
    async with connected(never_read) as stream:
        await stream.write(bytes(MORE_THAN_BUFFERS_BYTES), timeout=60)
        for _ in range(GATHERED_BYTES // MIB):
            await asyncio.wait_for(stream.write(bytes(MIB), timeout=60), 1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stream.write(bytes(MIB), timeout=60), 0.3)


async def test_nothing_follows_a_write_that_was_sent_in_part() -> None:
    """What was gathered behind it would be read as its missing end."""
    resumed = asyncio.Event()
    arrived = bytearray()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        never_read_again(writer)
        await resumed.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        while part := await reader.read(MIB):
            arrived.extend(part)

    async with connected(stall) as stream:
        await stream.write(b"a" * MORE_THAN_BUFFERS_BYTES, timeout=0.3)
        await stream.write(b"b" * LARGE_BYTES, timeout=0.3)
        with pytest.raises(httpcore2.WriteTimeout):
            await stream.write(b"", timeout=10)
        resumed.set()
        await asyncio.sleep(0.5)
    assert 0 < len(arrived) < MORE_THAN_BUFFERS_BYTES
    assert set(arrived) == set(b"a")


async def test_connection_with_a_write_on_its_way_closes_at_once() -> None:
    async with connected(never_read) as stream:
        await stream.write(bytes(MORE_THAN_BUFFERS_BYTES), timeout=60)
        await asyncio.sleep(0.3)
        began = time.monotonic()
        await stream.aclose()
        assert time.monotonic() - began < 2


async def test_answer_is_read_after_a_write_that_failed() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"no")
        await writer.drain()
        never_read_again(writer)

    async with connected(refuse) as stream:
        await stream.write(bytes(MORE_THAN_BUFFERS_BYTES), timeout=0.5)
        assert await stream.read(100, timeout=10) == b"no"


async def test_write_to_one_who_hangs_up_fails() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.transport.abort()

    async with connected(hang_up) as stream:
        await stream.write(bytes(MORE_THAN_BUFFERS_BYTES), timeout=10)
        with pytest.raises(httpcore2.WriteError):
            await stream.write(b"", timeout=10)


async def test_answer_that_comes_before_the_body_has_gone_is_read() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        while await reader.read(MIB):
            pass

    async def body() -> AsyncGenerator[bytes]:
        for _ in range(8):
            yield bytes(MIB)

    async with serving(refuse) as port, make_client() as http:
        headers = {"Content-Length": str(8 * MIB)}
        response = await http.put(f"http://127.0.0.1:{port}/x", content=body(), headers=headers)
    assert response.status_code == 507


async def test_without_a_second_handle_there_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(handle: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "dup", none_left)
    with pytest.raises(httpcore2.ConnectError):
        async with connected(never_read):
            pass


async def test_connections_leave_no_handles() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(MIB)

    before = open_handles()
    for _ in range(20):
        async with connected(answer) as stream:
            await stream.write(bytes(MIB), timeout=10)
            await stream.write(b"", timeout=10)  # waits for the large one
    assert open_handles() <= before + 3


def open_handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))

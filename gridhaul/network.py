"""Plain TCP for the HTTP clients: large writes in a thread, so that the kernel's copy of them holds up nothing else.

An event loop writes with the interpreter's lock held: a fifth of a delivery's time, in which nothing is read or hashed.
While large writes are on their way, the next ones are gathered: a way to a thread and back for each would take longer
than the write. Everything else, and all of TLS, is httpcore2's own.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore2

LARGE_BYTES = 1 << 18  # below it the way to a thread and back costs more
GATHERED_BYTES = 4 << 20  # at most, beside as many on their way

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class ThreadedWrites(httpcore2.AnyIOBackend):
    """httpcore2's usual backend, its plain connections with large writes in threads."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        usual = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        try:
            return _Stream(usual)
        except OSError as error:  # no handle is left
            await usual.aclose()
            raise httpcore2.ConnectError(str(error)) from error


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection whose large writes go to a second handle of its socket, in one thread. Both are non-blocking."""

    def __init__(self, usual: httpcore2.AsyncNetworkStream) -> None:
        self._usual = usual
        first = usual.get_extra_info("socket")
        self._handle = socket.socket(first.family, first.type, first.proto, fileno=os.dup(first.fileno()))
        self._writing: asyncio.Future[None] | None = None
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._timeout: float | None = None  # for each write

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Whoever reads has written everything, or has seen that it cannot: an answer may be there all the same."""
        with suppress(httpcore2.WriteError, httpcore2.WriteTimeout):
            await self._written()
        return await self._usual.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """A large one may be on its way or gathered when this returns: a later write raises what became of it.

        Raises WriteTimeout, WriteError.
        """
        if len(buffer) < LARGE_BYTES or timeout is None:
            await self._written()
            await self._usual.write(buffer, timeout)
            return
        while self._writing is not None and self._gathered_bytes + len(buffer) > GATHERED_BYTES:
            await self._under_way(self._writing)
        self._gathered.append(buffer)
        self._gathered_bytes += len(buffer)
        self._timeout = timeout
        if self._writing is None:
            self._start()

    async def aclose(self) -> None:
        await self._give_up()
        self._handle.close()
        await self._usual.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        """From now on everything goes the usual way."""
        self._handle.close()
        return await self._usual.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        return self._usual.get_extra_info(info)

    def _start(self) -> None:
        """Send what was gathered, and after it what is gathered meanwhile."""
        buffers, self._gathered, self._gathered_bytes = self._gathered, [], 0
        self._handle.settimeout(self._timeout)  # leaves it non-blocking, as the event loop needs it
        self._writing = asyncio.ensure_future(asyncio.to_thread(self._send, buffers))
        self._writing.add_done_callback(self._go_on)

    def _send(self, buffers: list[bytes]) -> None:
        for buffer in buffers:
            self._handle.sendall(buffer)

    def _go_on(self, done: asyncio.Future[None]) -> None:
        """Once for each that has ended well: whoever sees it first. One that failed stays, for whoever writes next."""
        if self._writing is not done or done.cancelled() or done.exception() is not None:
            return
        self._writing = None
        if self._gathered:
            self._start()

    async def _written(self) -> None:
        """Everything."""
        while self._writing is not None:
            await self._under_way(self._writing)

    async def _under_way(self, writing: asyncio.Future[None]) -> None:
        """Until it is written. When this is cancelled the connection is over, and with it the write."""
        try:
            await asyncio.shield(writing)
        except TimeoutError as error:
            self._drop()
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            self._drop()
            raise httpcore2.WriteError(str(error)) from error
        except asyncio.CancelledError:
            await self._give_up()
            raise
        self._go_on(writing)

    def _drop(self) -> None:
        """What failed, and what was gathered: it must not follow something that was sent in part."""
        self._writing = None
        self._gathered, self._gathered_bytes = [], 0

    async def _give_up(self) -> None:
        writing = self._writing
        self._drop()
        if writing is not None:
            with suppress(OSError):  # wakes the thread
                self._handle.shutdown(socket.SHUT_RDWR)
            await asyncio.gather(writing, return_exceptions=True)

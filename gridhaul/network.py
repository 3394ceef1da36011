"""Plain TCP for the HTTP clients: large writes in a thread, so that the kernel's copy of them holds up nothing else.

An event loop writes with the interpreter's lock held: a fifth of a delivery's time, in which nothing is read or hashed.
Everything else, and all of TLS, is httpcore2's own.
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
        return _Stream(await super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection. Threads write to a second handle of its socket; both are non-blocking."""

    def __init__(self, usual: httpcore2.AsyncNetworkStream) -> None:
        self._usual = usual

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._usual.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Raises WriteTimeout, WriteError. Nothing of an earlier write is still on its way when this begins."""
        if len(buffer) < LARGE_BYTES or timeout is None:
            await self._usual.write(buffer, timeout)
            return
        try:
            with socket.socket(fileno=os.dup(self.get_extra_info("socket").fileno())) as handle:
                handle.settimeout(timeout)  # leaves it non-blocking, as the event loop needs it
                await _in_thread(handle, buffer)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await self._usual.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return await self._usual.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        return self._usual.get_extra_info(info)


async def _in_thread(handle: socket.socket, buffer: bytes) -> None:
    """When this is cancelled the connection is over, and with it the write."""
    writing = asyncio.ensure_future(asyncio.to_thread(handle.sendall, buffer))
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        with suppress(OSError):  # wakes the thread
            handle.shutdown(socket.SHUT_RDWR)
        await asyncio.gather(writing, return_exceptions=True)
        raise

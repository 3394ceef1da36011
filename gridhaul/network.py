"""Plain TCP for the HTTP clients: large writes in a thread, so that the kernel's copy of them holds up nothing else.

An event loop writes with the interpreter's lock held, a tenth of a second for each GiB in which nothing is read or
hashed. Everything else, and all of TLS, is httpcore2's own.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore2

LARGE_BYTES = 1 << 18  # below it the way to a thread and back costs more

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class ThreadedWrites(httpcore2.AsyncNetworkBackend):
    """httpcore2's usual backend, its plain connections with large writes in threads."""

    def __init__(self) -> None:
        self._usual = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        stream = await self._usual.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream)

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[SocketOption] | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return await self._usual.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._usual.sleep(seconds)


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection, and a second handle of its socket that threads write to. Both are non-blocking."""

    def __init__(self, usual: httpcore2.AsyncNetworkStream) -> None:
        self._usual = usual
        self._socket = socket.fromfd(usual.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._usual.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Raises WriteTimeout, WriteError. Nothing of an earlier write is still on its way when this begins."""
        if len(buffer) < LARGE_BYTES or timeout is None:
            await self._usual.write(buffer, timeout)
            return
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, buffer, timeout))
        try:
            await asyncio.shield(writing)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error
        except asyncio.CancelledError:
            with suppress(OSError):  # wakes the thread
                self._socket.shutdown(socket.SHUT_RDWR)
            await asyncio.gather(writing, return_exceptions=True)
            raise

    async def aclose(self) -> None:
        self._socket.close()
        await self._usual.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        self._socket.close()
        return await self._usual.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> Any:
        return self._usual.get_extra_info(info)

    def _write(self, buffer: bytes, timeout: float) -> None:
        self._socket.settimeout(timeout)  # leaves it non-blocking, as the event loop needs it
        self._socket.sendall(buffer)

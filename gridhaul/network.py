"""Plain TCP for the HTTP clients: large writes in a thread, so that the kernel's copy of them holds up nothing else.

An event loop writes with the interpreter's lock held: a fifth of a delivery's time, in which nothing is read or hashed.
While one large write is on its way, what is written next is already made. Everything else, and all of TLS, is
httpcore2's own.
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
        usual = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        try:
            return _Stream(usual)
        except OSError as error:  # no handle is left
            await usual.aclose()
            raise httpcore2.ConnectError(str(error)) from error


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection with at most one large write on its way, to a second handle of its socket. Both are non-blocking."""

    def __init__(self, usual: httpcore2.AsyncNetworkStream) -> None:
        self._usual = usual
        first = usual.get_extra_info("socket")
        self._handle = socket.socket(first.family, first.type, first.proto, fileno=os.dup(first.fileno()))
        self._writing: asyncio.Future[None] | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Whoever reads has written everything, or has seen that it cannot: an answer may be there all the same."""
        with suppress(httpcore2.WriteError, httpcore2.WriteTimeout):
            await self._written()
        return await self._usual.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """A large one may be on its way when this returns: the next write waits for it, and raises what became of it.

        Raises WriteTimeout, WriteError.
        """
        await self._written()
        if len(buffer) < LARGE_BYTES or timeout is None:
            await self._usual.write(buffer, timeout)
        else:
            self._handle.settimeout(timeout)  # leaves it non-blocking, as the event loop needs it
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._handle.sendall, buffer))

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

    async def _written(self) -> None:
        """When this is cancelled the connection is over, and with it the write."""
        if self._writing is None:
            return
        try:
            await asyncio.shield(self._writing)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error
        except asyncio.CancelledError:
            await self._give_up()
            raise
        finally:
            self._writing = None

    async def _give_up(self) -> None:
        if self._writing is not None:
            with suppress(OSError):  # wakes the thread
                self._handle.shutdown(socket.SHUT_RDWR)
            await asyncio.gather(self._writing, return_exceptions=True)
            self._writing = None

"""Connections that a thread uses and an event loop can cut, whatever the thread waits for."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from threading import Lock
from typing import Any

import httpcore2

CONNECT_MOST_SECONDS = 60.0  # where no timeout is given
LEAST_SECONDS = 0.001  # 0 would be no timeout

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class Line(httpcore2.SyncBackend):
    """Makes the connections of one pool, one at a time. `cut` ends the one there is, unless it is still being made."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changing = Lock()
        self._handle: socket.socket | None = None  # a second one of the connection's, which TLS does not take away
        self.is_cut = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.NetworkStream:
        """To the first of the host's addresses that answers; all of them together have the timeout."""
        deadline = time.monotonic() + (CONNECT_MOST_SECONDS if timeout is None else timeout)
        addresses = self._addresses(host, port, deadline)
        for left in range(len(addresses), 0, -1):
            share = max(deadline - time.monotonic(), LEAST_SECONDS) / left
            try:
                usual = super().connect_tcp(addresses[-left], port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if left == 1:
                    raise
            else:
                return _Stream(usual, self._held(usual), self)
        raise httpcore2.ConnectError("the host has no address")

    def cut(self) -> None:
        """There will be no other connection either."""
        with self._changing:
            self.is_cut = True
            if self._handle is not None:
                with suppress(OSError):  # wakes its thread
                    self._handle.shutdown(socket.SHUT_RDWR)

    def close(self, handle: socket.socket) -> None:
        """Nobody cuts it while it is closed: its descriptor may be another's a moment later."""
        with self._changing:
            if self._handle is handle:
                self._handle = None
            handle.close()

    def _addresses(self, host: str, port: int, deadline: float) -> list[str]:
        looking = asyncio.run_coroutine_threadsafe(
            self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), self._loop
        )
        try:
            found = looking.result(max(deadline - time.monotonic(), LEAST_SECONDS))
        except TimeoutError:
            looking.cancel()
            raise httpcore2.ConnectTimeout("the host's addresses are not known yet") from None
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def _held(self, stream: httpcore2.NetworkStream) -> socket.socket:
        """A second handle of the connection. Raises ConnectError after `cut`, or where there is no handle left."""
        try:
            with self._changing:
                if self.is_cut:
                    raise httpcore2.ConnectError("it is not wanted any more")
                self._handle = stream.get_extra_info("socket").dup()
                return self._handle
        except OSError as error:
            stream.close()
            raise httpcore2.ConnectError(str(error)) from error
        except httpcore2.ConnectError:
            stream.close()
            raise


class _Stream(httpcore2.NetworkStream):
    """A connection that its line can cut."""

    def __init__(self, usual: httpcore2.NetworkStream, handle: socket.socket, line: Line) -> None:
        self._usual = usual
        self._handle = handle
        self._line = line

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._usual.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._usual.write(buffer, timeout)

    def close(self) -> None:
        self._line.close(self._handle)
        self._usual.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            return _Stream(self._usual.start_tls(ssl_context, server_hostname, timeout), self._handle, self._line)
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._usual.get_extra_info(info)

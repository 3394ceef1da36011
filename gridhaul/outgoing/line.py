"""Connections that a thread uses and that the event loop can cut, whatever the thread waits for."""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from threading import Lock
from typing import Any

import httpcore2

from gridhaul.outgoing.exchange import bytes_arrived, connection_is_made

CONNECT_MOST_SECONDS = 60.0  # the timeout of a connection whose caller sets none
LEAST_SECONDS = 0.001  # the shortest timeout passed on: 0 would make the socket non-blocking

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class Line(httpcore2.SyncBackend):
    """Makes the connections of one pool, one at a time.

    `cut` shuts down the current connection. A connection that is still being made fails as soon as it is made.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._changing = Lock()
        self._handle: socket.socket | None = None  # a dup of the socket: wrapping in TLS detaches the original
        self.is_cut = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first of the host's addresses that answers. `timeout` bounds all addresses together."""
        connection_is_made()
        deadline = time.monotonic() + (CONNECT_MOST_SECONDS if timeout is None else timeout)
        addresses = self._addresses(host, port, deadline)
        for left in range(len(addresses), 0, -1):
            share = max(deadline - time.monotonic(), LEAST_SECONDS) / left
            try:
                stream = super().connect_tcp(addresses[-left], port, share, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if left == 1:
                    raise
            else:
                return _Stream(stream, self._duplicated(stream), self)
        raise httpcore2.ConnectError("the host has no address")

    def cut(self) -> None:
        """Shut the connection down and refuse every later one."""
        with self._changing:
            self.is_cut = True
            if self._handle is not None:
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for the connection

    def close(self, handle: socket.socket) -> None:
        """Close the handle under the lock.

        After the close, the kernel may give the descriptor number to another socket, which `cut` must not shut down.
        """
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

    def _duplicated(self, stream: httpcore2.NetworkStream) -> socket.socket:
        """Return a dup of the connection's socket. Raises ConnectError after `cut`, or if the dup fails."""
        try:
            with self._changing:
                if self.is_cut:
                    raise httpcore2.ConnectError("the connection was cut while it was made")
                self._handle = stream.get_extra_info("socket").dup()
                return self._handle
        except OSError as error:
            stream.close()
            raise httpcore2.ConnectError(str(error)) from error
        except httpcore2.ConnectError:
            stream.close()
            raise


class _Stream(httpcore2.NetworkStream):
    """A connection that its `Line` can cut."""

    def __init__(self, stream: httpcore2.NetworkStream, handle: socket.socket, line: Line) -> None:
        self._stream = stream
        self._handle = handle
        self._line = line

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        part = self._stream.read(max_bytes, timeout)
        bytes_arrived(len(part))
        return part

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._line.close(self._handle)
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._handle, self._line)
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

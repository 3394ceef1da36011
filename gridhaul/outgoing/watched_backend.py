"""Asynchronous connections that report to `exchange`: when they are made, and when bytes arrive."""
# ruff: noqa: ASYNC109 - httpcore2 names these parameters

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2

from gridhaul.outgoing.exchange import bytes_arrived, connection_is_made
from gridhaul.outgoing.line import SocketOption


class WatchedBackend(httpcore2.AnyIOBackend):
    """Makes asynchronous connections that report to `outgoing.exchange`."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        connection_is_made()
        return _WatchedStream(await super().connect_tcp(host, port, timeout, local_address, socket_options))


class _WatchedStream(httpcore2.AsyncNetworkStream):
    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        part = await self._stream.read(max_bytes, timeout)
        bytes_arrived(len(part))
        return part

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return _WatchedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

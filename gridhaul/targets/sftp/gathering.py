"""The TCP connection below SSH gathers small writes, and hands them to the system together.

asyncssh writes two messages for each 32 KiB: the bytes, and before them an empty one, which protects old ciphers. Each
write by itself would be a system call, and would wake the server.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

GATHERED_MOST_BYTES = 256 << 10


class GatheringConnector:
    """Gives asyncssh its TCP connections. asyncssh takes it as a tunnel, the place of a connection to a jump host."""

    async def create_connection(
        self, session_factory: Callable[[], Any], remote_host: str, remote_port: int
    ) -> tuple[asyncio.Transport, Any]:
        """Connect, and return the transport with the protocol that the factory made. Raises OSError if that fails."""
        loop = asyncio.get_running_loop()
        transport, forwarding = await loop.create_connection(
            lambda: _Forwarding(session_factory()), remote_host, remote_port
        )
        return transport, forwarding.protocol

    def close(self) -> None:
        """Do nothing: asyncssh closes each connection, and a tunnel has this method too."""

    async def wait_closed(self) -> None:
        """Do nothing: asyncssh waits for each connection, and a tunnel has this method too."""


class _Forwarding(asyncio.Protocol):
    """Gives the protocol a transport that gathers, and passes on to it what happens on the connection."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.protocol = protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.protocol.connection_made(_GatheringTransport(cast(asyncio.Transport, transport)))

    def data_received(self, data: bytes) -> None:
        self.protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self.protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.protocol.connection_lost(exc)


class _GatheringTransport(asyncio.Transport):
    """Gathers what is written in one turn of the event loop. It is sent at the turn's end, or once it is large."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0

    def write(self, data: Any) -> None:
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._send)
        self._gathered.append(bytes(data))
        self._gathered_bytes += len(data)
        if self._gathered_bytes >= GATHERED_MOST_BYTES:
            self._send()

    def close(self) -> None:
        self._send()
        self._transport.close()

    def abort(self) -> None:
        self._gathered, self._gathered_bytes = [], 0
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def _send(self) -> None:
        gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
        if gathered and not self._transport.is_closing():
            self._transport.writelines(gathered)

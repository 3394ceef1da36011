"""One session that passes the SFTP proxy: its exchanges, and the relay of both directions."""

import asyncio
import struct
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace

from tests.servers.disturbances import Answer, Disturbance, LoseAnswer, Reset, Side
from tests.servers.exchange import Planned, Seen
from tests.servers.sftp_packets import (
    HARDLINK,
    POSIX_RENAME,
    WRITES,
    Kind,
    Packet,
    code_of,
    read_packet,
    status,
    string,
)


@dataclass(kw_only=True, slots=True)
class _Exchange:
    """An exchange that goes on, with the plan that disturbs it."""

    seen: Seen
    planned: Planned | None

    def disturbed(self, side: Side, at: int, data: bytes) -> AsyncGenerator[bytes]:
        planned = self.planned
        if planned is None:
            return Disturbance().passes(side, at, data)
        if planned.disturbance.strikes(side, at, data):
            planned.strike()
        return planned.disturbance.passes(side, at, data)


class Session:
    """One session: its open files, and the requests whose answers are still to come."""

    def __init__(
        self,
        number: int,
        *,
        note: Callable[[Seen], Planned | None],
        is_lax: Callable[[], bool],
        to_client: asyncio.StreamWriter,
        to_server: asyncio.StreamWriter,
    ) -> None:
        """`note` notes an exchange and returns its plan. While `is_lax`, links and renames replace what is there."""
        self._number = number
        self._note = note
        self._is_lax = is_lax
        self._to_client = to_client
        self._to_server = to_server
        self._opening: dict[int, bytes] = {}  # paths that the server was asked to open, by the request's number
        self._files: dict[bytes, _Exchange] = {}  # files that are open to be written, by their handles
        self._asked: dict[int, _Exchange] = {}  # exchanges whose answer is to come, by the request's number

    def end(self) -> None:
        """Note that no exchange of the session goes on."""
        for exchange in (*self._files.values(), *self._asked.values()):
            exchange.seen.over = True

    async def pass_requests(self, reader: asyncio.StreamReader) -> None:
        while True:
            packet = await read_packet(reader)
            if (passed := await self._request(packet)) is not None:
                self._to_server.write(passed.encoded())
                await self._to_server.drain()

    async def pass_answers(self, reader: asyncio.StreamReader) -> None:
        while True:
            packet = await read_packet(reader)
            await self._answered(packet)
            self._to_client.write(packet.encoded())
            await self._to_client.drain()

    async def _request(self, packet: Packet) -> Packet | None:
        """Return the request as it is passed on; None if the proxy answers it."""
        match packet.kind:
            case Kind.WRITE:
                return await self._write(packet)
            case Kind.CLOSE:
                return await self._close(packet)
            case Kind.OPEN if _opens_to_write(packet):
                return await self._open(packet)
            case Kind.RENAME:
                return await self._name(packet, "RENAME", *packet.strings(2))
            case Kind.EXTENDED if packet.strings(1) == [HARDLINK]:
                return await self._name(packet, "LINK", *packet.strings(3)[1:])
            case Kind.EXTENDED if packet.strings(1) == [POSIX_RENAME]:
                return await self._name(packet, "RENAME", *packet.strings(3)[1:])
        return packet

    async def _open(self, packet: Packet) -> Packet | None:
        (path,) = packet.strings(1)
        if await self._begins(packet, self._exchange("OPEN", path)):
            return None
        self._opening[packet.number] = path
        return packet

    async def _write(self, packet: Packet) -> Packet:
        (handle,) = packet.strings(1)
        file = self._files.get(handle)
        if file is None:
            return packet
        head = 4 + len(handle)
        (at,) = struct.unpack_from(">Q", packet.payload, head)
        data = packet.payload[head + 12 :]
        file.seen.body_bytes += len(data)
        file.seen.last_byte_at = time.monotonic()
        passed = b"".join([part async for part in file.disturbed(Side.REQUEST, at, data)])
        return replace(packet, payload=packet.payload[: head + 8] + string(passed))

    async def _close(self, packet: Packet) -> Packet | None:
        (handle,) = packet.strings(1)
        file = self._files.pop(handle, None)
        if file is not None:
            self._asked[packet.number] = file
        return packet

    async def _name(self, packet: Packet, method: str, source: bytes, destination: bytes) -> Packet | None:
        if await self._begins(packet, self._exchange(method, destination)):
            return None
        if not self._is_lax():
            return packet
        payload = string(POSIX_RENAME) + string(source) + string(destination)
        return Packet(kind=Kind.EXTENDED, number=packet.number, payload=payload)

    def _exchange(self, method: str, path: bytes) -> _Exchange:
        now = time.monotonic()
        target = path.decode(errors="replace")
        seen = Seen(connection=self._number, method=method, target=target, headers={}, at=now, last_byte_at=now)
        return _Exchange(seen=seen, planned=self._note(seen))

    async def _begins(self, packet: Packet, exchange: _Exchange) -> bool:
        """Begin an exchange without a body. Return whether the proxy answers it."""
        self._asked[packet.number] = exchange
        if exchange.planned is not None and isinstance(exchange.planned.disturbance, Answer):
            exchange.planned.strike()
            answer = status(packet.number, exchange.planned.disturbance.status)
            await self._answered(answer)
            self._to_client.write(answer.encoded())
            await self._to_client.drain()
            return True
        async for _ in exchange.disturbed(Side.REQUEST, 0, b""):
            pass
        return False

    async def _answered(self, packet: Packet) -> None:
        """Note an answer before it is passed on. Raises Reset if it is to be lost."""
        path = self._opening.pop(packet.number, None)
        if path is not None and packet.kind == Kind.HANDLE:
            self._files[packet.strings(1)[0]] = self._exchange("WRITE", path)
        exchange = self._asked.pop(packet.number, None)
        if exchange is None:
            return
        exchange.seen.status = code_of(packet)
        try:
            if exchange.planned is not None and isinstance(exchange.planned.disturbance, LoseAnswer):
                exchange.planned.strike()
                raise Reset
            async for _ in exchange.disturbed(Side.ANSWER, 0, b""):
                pass
        finally:
            exchange.seen.over = True


def _opens_to_write(packet: Packet) -> bool:
    (path,) = packet.strings(1)
    (flags,) = struct.unpack_from(">I", packet.payload, 4 + len(path))
    return bool(flags & WRITES)

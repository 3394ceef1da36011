"""One exchange of HTTP/1.1 that passes a proxy: its notes, its planned disturbance, and its relay."""

import asyncio
import socket
import struct
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import h11

from tests.servers.disturbances import (
    NOTHING,
    Answer,
    Asked,
    Change,
    Disturbance,
    Instead,
    LoseAnswer,
    Reset,
    Side,
)

BLOCK_BYTES = 1 << 18
BROKEN = (OSError, h11.ProtocolError, Reset)
_LINGER_NOT = struct.pack("ii", 1, 0)  # a socket with this option is reset when it is closed
T = TypeVar("T")


@dataclass(kw_only=True)
class Seen:
    """A request that came to the proxy. Times are `time.monotonic()`."""

    connection: int
    method: str
    target: str  # as in the request line
    headers: dict[str, str] = field(repr=False)  # names in lower case
    at: float
    last_byte_at: float  # when the latest byte of the request came
    body_bytes: int = 0  # of the request's body, so far
    status: int | None = None  # of the answer by the proxy or by upstream, even if the answer is lost
    over: bool = False


@dataclass(kw_only=True)
class Planned:
    """A plan: of the matching requests, the first `skip` pass, and the next `times` are disturbed."""

    disturbance: Disturbance
    method: str | None
    part_of_target: str
    skip: int
    times: int
    hits: int = 0
    _struck: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> None:
        """Wait until the disturbance has happened for the first time. Raises AssertionError."""
        assert self._struck.wait(seconds), f"{self.disturbance} did not happen within {seconds} s"

    def takes(self, seen: Seen) -> bool:
        if self.times == 0 or self.method not in (None, seen.method) or self.part_of_target not in seen.target:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True

    def strike(self) -> None:
        self.hits += 1
        self._struck.set()


class Peer:
    """One end of a connection."""

    def __init__(
        self, role: type[h11.CLIENT] | type[h11.SERVER], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.http = h11.Connection(role)
        self._reader = reader
        self._writer = writer

    async def receive(self, kind: type[T]) -> T:
        """Return the next event. Raises Reset if it is of another kind."""
        event = await self.event()
        if not isinstance(event, kind):
            raise Reset
        return event

    async def event(self) -> object:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self._reader.read(BLOCK_BYTES))
        return event

    async def send(self, event: h11.Event) -> None:
        if data := self.http.send(event):
            self._writer.write(data)
            await self._writer.drain()

    def reset(self) -> None:
        with suppress(OSError):
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


async def exchange(
    client: Peer, request: h11.Request, *, upstream_at: tuple[str, int], seen: Seen, planned: Planned | None
) -> None:
    """Pass the request on and its answer back, or disturb them as planned. Raises one of BROKEN."""
    if planned is not None and isinstance(planned.disturbance, Answer):
        await _drain(client)
        planned.strike()
        return await _answer(client, planned.disturbance, seen)
    if planned is not None and isinstance(planned.disturbance, Instead):
        asked = Asked(method=seen.method, target=seen.target, headers=seen.headers, body=await _drain(client))
        answer = await asyncio.to_thread(planned.disturbance.answer, asked)
        planned.strike()
        return await _answer(client, answer, seen)
    upstream = Peer(h11.CLIENT, *await asyncio.open_connection(*upstream_at))
    try:
        relay = _Relay(seen, planned)
        async with asyncio.TaskGroup() as both:
            both.create_task(relay.pass_request(request, client, upstream))
            both.create_task(relay.pass_answer(upstream, client))
    except BaseException:
        upstream.reset()
        raise
    finally:
        upstream.close()


async def _drain(peer: Peer) -> bytes:
    """Read to the end of the message, and return its body."""
    body = bytearray()
    while isinstance(event := await peer.event(), h11.Data):
        body += event.data
    if not isinstance(event, h11.EndOfMessage):
        raise Reset
    return bytes(body)


async def _answer(client: Peer, answer: Answer, seen: Seen) -> None:
    seen.status = answer.status
    headers = {"content-length": str(len(answer.body))} | {name.lower(): text for name, text in answer.headers.items()}
    await client.send(h11.Response(status_code=answer.status, headers=list(headers.items())))
    body = b"" if seen.method == "HEAD" else answer.body[: int(headers["content-length"])]
    await client.send(h11.Data(data=body))
    await client.send(h11.EndOfMessage())


async def _whole(response: h11.Response, upstream: Peer) -> Answer:
    """Return the answer with its body, framed by its length."""
    headers = {name.decode(): text.decode("latin-1") for name, text in response.headers if name != b"transfer-encoding"}
    return Answer(status=response.status_code, headers=headers, body=await _drain(upstream))


class _Relay:
    """The relay of both directions of one exchange."""

    def __init__(self, seen: Seen, planned: Planned | None) -> None:
        self._seen = seen
        self._planned = planned
        self._disturbance = planned.disturbance if planned else NOTHING

    async def pass_request(self, request: h11.Request, client: Peer, upstream: Peer) -> None:
        try:
            await self._pass(request, client, upstream, Side.REQUEST)
        except OSError:
            if self._seen.status is None:
                raise
            await _drain(client)  # upstream answered early and reads no more of the request

    async def pass_answer(self, upstream: Peer, client: Peer) -> None:
        response = await upstream.receive(h11.Response)
        self._seen.status = response.status_code
        if isinstance(self._disturbance, LoseAnswer) and self._planned:
            await _drain(upstream)
            self._planned.strike()
            raise Reset
        if isinstance(self._disturbance, Change) and self._planned:
            changed = self._disturbance.change(await _whole(response, upstream))
            self._planned.strike()
            await _answer(client, changed, self._seen)
        else:
            await self._pass(response, upstream, client, Side.ANSWER)

    async def _pass(self, head: h11.Request | h11.Response, source: Peer, sink: Peer, side: Side) -> None:
        async for _ in self._disturbed(side, 0, b""):
            await sink.send(head)
        at = 0
        while isinstance(event := await source.event(), h11.Data):
            async for passed in self._disturbed(side, at, bytes(event.data)):
                await sink.send(h11.Data(data=passed))
            at += len(event.data)
            self._note_progress(side, at)
        if not isinstance(event, h11.EndOfMessage):
            raise Reset
        await sink.send(event)

    def _disturbed(self, side: Side, at: int, data: bytes) -> AsyncGenerator[bytes]:
        if self._planned and self._disturbance.strikes(side, at, data):
            self._planned.strike()
        return self._disturbance.passes(side, at, data)

    def _note_progress(self, side: Side, at: int) -> None:
        if side is Side.REQUEST:
            self._seen.body_bytes, self._seen.last_byte_at = at, time.monotonic()

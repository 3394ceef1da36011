"""The answer that goes on: a stream of server-sent events (WHATWG HTML, 9.2).

FastAPI's own `EventSourceResponse` formats each event for each listener anew, and keeps five tasks for a listener. Here
all listeners are sent the same bytes, and a listener that has nothing to send wakes up once in PING_SECONDS.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.events.feed import EventFeed
from api.events.log import TOO_SLOW, Listener, Sight
from api.events.stream_limit import StreamSlots
from api.events.texts import PING, opening
from gridhaul.asgi.disconnection import while_connected
from gridhaul.asgi.problems import log_failure
from gridhaul.asgi.request_log import note
from gridhaul.asgi.stopping import call_at_stop
from gridhaul.process.cancellation import end_if_cancelled
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.ports.events import Replays

MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep the events until its buffer is full
}
RETRY_MS = (1000, 4000)  # clients that a restart disconnected come back one after the other


@dataclass(frozen=True, kw_only=True, slots=True)
class Events:
    """The parts of the api that all streams share."""

    feed: EventFeed
    replays: Replays
    slots: StreamSlots


class EventStream(Response):
    """A stream that begins with what the client missed, and goes on with what changes."""

    media_type = MEDIA_TYPE
    ping_seconds = 5.0  # a proxy ends a connection on which nothing moves, and a client notices a dead one
    check_seconds = 60.0  # how often the caller's token is looked at again
    send_seconds = 30.0  # in which a client must read enough that the next block can be sent

    def __init__(
        self,
        events: Events,
        *,
        account: str,
        sight: Sight,
        missed: Callable[[], AsyncGenerator[bytes]],
        may_go_on: Callable[[], Awaitable[bool]],
    ) -> None:
        """`missed` yields the first events, and is called once the stream listens, so that nothing is lost between.

        `may_go_on` tells whether the caller may still see what it sees.
        """
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._events = events
        self._account = account
        self._sight = sight
        self._missed = missed
        self._may_go_on = may_go_on
        self._why: str | None = None  # the reason of the end, for the log; None: the client has disconnected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(receive, self._run(scope, send))
        finally:
            note(ended=self._why)

    async def _run(self, scope: Scope, send: Send) -> None:
        async with self._events.slots.hold(self._account):
            with self._events.feed.listening(self._sight) as listener:
                call_at_stop(scope, partial(listener.end, "The service stops."))
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                await self._send_blocks(listener, send)
                self._why = listener.ended
                await send({"type": "http.response.body"})

    async def _send_blocks(self, listener: Listener, send: Send) -> None:
        async with aclosing(self._blocks(listener)) as blocks:
            async for block in blocks:
                try:
                    async with asyncio.timeout(self.send_seconds):
                        await send({"type": "http.response.body", "body": block, "more_body": True})
                except TimeoutError:
                    self._why = TOO_SLOW
                    raise ClientDisconnect from None  # the end of the answer would not reach the client either

    async def _blocks(self, listener: Listener) -> AsyncGenerator[bytes]:
        yield opening(random.randint(*RETRY_MS))  # noqa: S311 - it spreads the clients, and is no secret
        try:
            async with aclosing(self._missed()) as missed:
                async for block in missed:
                    if listener.ended:
                        return
                    yield block
        except GridhaulError as error:
            log_failure(error)
            listener.end("What the client missed could not be read.")
        async for block in self._news(listener):
            yield block

    async def _news(self, listener: Listener) -> AsyncGenerator[bytes]:
        loop = asyncio.get_running_loop()
        check_at = loop.time() + self.check_seconds
        while not listener.ended:
            end_if_cancelled()  # a look at the database may have lost the cancellation
            if loop.time() >= check_at:
                check_at += self.check_seconds
                if not await self._may_go_on():
                    listener.end("The caller may not see this any more.")
                    return
            if block := listener.take():
                yield block
            elif not await listener.wait(min(self.ping_seconds, self.check_seconds)):
                yield PING

"""The buffer of a request's body between the connection and the application, which joins its pieces once."""

from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn._types import ASGIReceiveEvent, HTTPRequestEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gridhaul.transfer.joined_parts import JoinedParts

BODY_BYTES = 1 << 20  # Reading from the connection pauses while more than this waits for the application.


class BodyBuffer(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 with a larger buffer, which wakes the application once a mebibyte instead of every 64 KiB.

    The buffer is large only once the application has asked for the body: requests that wait for their turn cost little.

    If the client disconnects, the application gets what has arrived before it hears of that. uvicorn would drop it, and
    an upload over a line that breaks often would lose up to a mebibyte each time.
    """

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._body_is_wanted = False
        self.cycle.receive = self._body_first(self.cycle)  # type: ignore[method-assign]

    def on_body(self, body: bytes) -> None:
        if not self.cycle.body:
            self.cycle.body = JoinedParts()  # type: ignore[assignment] # uvicorn only adds to the body and calls `bytes`
        super().on_body(body)
        if self._body_is_wanted and len(self.cycle.body) <= BODY_BYTES:  # uvicorn pauses reading at 64 KiB
            self.flow.resume_reading()

    def _body_first(self, cycle: RequestResponseCycle) -> Callable[[], Coroutine[Any, Any, ASGIReceiveEvent]]:
        """Return uvicorn's `receive`, except that the rest of a body comes before the message of a disconnection."""
        plain = cycle.receive

        async def receive() -> ASGIReceiveEvent:
            self._body_is_wanted = True
            if not (cycle.disconnected and cycle.body):
                message = await plain()
                if message["type"] != "http.disconnect" or not cycle.body or cycle.response_complete:
                    return message
            rest: HTTPRequestEvent = {"type": "http.request", "body": bytes(cycle.body), "more_body": cycle.more_body}
            cycle.body = bytearray()
            return rest

        return receive

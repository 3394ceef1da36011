"""The request log: one structured line for each request, with its id, method, route, status and seconds.

Headers, bodies and tokens are never logged.
"""

import time
import uuid

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNANSWERED = 499  # the status in the log, as nginx writes it, if the client disconnects before its answer begins

log = structlog.get_logger(__name__)


def note(**facts: object) -> None:
    """Bind facts to every further log line of this request."""
    structlog.contextvars.bind_contextvars(**facts)


class RequestLog:
    """ASGI middleware that gives the request its id and logs its end.

    The line has `"disconnected": true` if the application noticed that the client went away before the whole answer was
    sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        exchange = _Exchange(receive, send)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        finally:
            path = getattr(scope.get("route"), "path", None)
            if not (exchange.status == 200 and path in ("/healthz", "/readyz")):
                seconds = round(time.perf_counter() - started, 4)
                log.info("request", method=scope["method"], route=path, seconds=seconds, **exchange.facts())


class _Exchange:
    """A request and its answer, and what the log says about their end."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_complete = False
        self._is_disconnected = False
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._is_complete:
            self._is_disconnected = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._is_complete = True

    def facts(self) -> dict[str, object]:
        if self._is_disconnected:
            return {"status": self.status or UNANSWERED, "disconnected": True}
        return {"status": self.status}

"""The request log: one structured line for each request, with its id, method, route, status and seconds.

Headers, bodies and tokens are never logged.
"""

import time
import uuid

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)


def note(**facts: object) -> None:
    """Bind facts to every further log line of this request."""
    structlog.contextvars.bind_contextvars(**facts)


class RequestLog:
    """ASGI middleware that gives the request its id and logs its end."""

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
        status = 0

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_status)
        finally:
            route = scope.get("route")
            if not (status == 200 and getattr(route, "path", "") in ("/healthz", "/readyz")):
                seconds = round(time.perf_counter() - started, 4)
                path = getattr(route, "path", None)
                log.info("request", method=scope["method"], route=path, status=status, seconds=seconds)

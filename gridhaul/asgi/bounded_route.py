"""The route class of every route that takes JSON or a form: what is too large, too slow or no such thing is refused."""

import asyncio
from collections.abc import Callable, Coroutine
from email.message import Message as Headers
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from gridhaul.asgi.json_text import check_json
from gridhaul.asgi.problems import documented
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.transfer.errors import PayloadTooLarge, RequestTimeout, UnsupportedMediaType

JSON = "application/json"
LARGE_BYTES = 4096
ANSWERS = (400, 408, 413, 415)


class BoundedRoute(APIRoute):
    """Reads and checks the body before FastAPI does. A route without one, or that streams it, is left alone."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.body_field is not None:
            self.responses = documented(*ANSWERS) | self.responses

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        taken: str = getattr(self.body_field.field_info, "media_type", JSON)

        async def bounded(request: Request) -> Response:
            limits: RequestLimits = request.app.state.request_limits
            body = await read_body(request, max_bytes=limits.body_bytes, within_seconds=limits.stall_seconds)
            if body:
                require_type(request, taken)
                if taken == JSON:
                    await _check_json(body, max_depth=limits.json_depth)
            return await handle(Request(request.scope, _read_again(body, request.receive)))

        return bounded


async def _check_json(body: bytes, *, max_depth: int) -> None:
    """A large one in a thread: it takes 10 ms for 64 KiB."""
    if len(body) > LARGE_BYTES:
        await asyncio.to_thread(check_json, body, max_depth=max_depth)
    else:
        check_json(body, max_depth=max_depth)


async def read_body(request: Request, *, max_bytes: int, within_seconds: float) -> bytes:
    """The whole body. Raises PayloadTooLarge as soon as it is known, RequestTimeout."""
    declared = request.headers.get("Content-Length", "")
    body = bytearray()
    try:
        async with asyncio.timeout(within_seconds):
            _require_room(int(declared[:18]) if declared.isdecimal() else 0, max_bytes)
            async for part in request.stream():
                body += part
                _require_room(len(body), max_bytes)
    except (TimeoutError, ClientDisconnect):
        raise RequestTimeout("The body stopped arriving.") from None
    return bytes(body)


def _require_room(length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise PayloadTooLarge(f"The body has at most {max_bytes} bytes.")


def require_type(request: Request, taken: str) -> None:
    """Raises UnsupportedMediaType. What ends in `+json` is JSON too (RFC 6839)."""
    declared = request.headers.get("Content-Type", "")
    if declared == taken:
        return
    given = Headers()
    given["Content-Type"] = declared
    name = given.get_content_type()
    if name != taken and not (taken == JSON and name.startswith("application/") and name.endswith("+json")):
        raise UnsupportedMediaType(f"The body must be {taken}, and Content-Type must say so.")


def _read_again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, and then what comes after it."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return pending.pop() if pending else await receive()

    return receive_again

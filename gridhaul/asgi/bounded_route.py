"""The class of every route that takes JSON or a form: a body that is too large, too slow or malformed is refused."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message, Receive

from gridhaul.asgi.json_text import check_json
from gridhaul.asgi.problems import documented
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.transfer.errors import PayloadTooLarge, RequestTimeout, UnsupportedMediaType

JSON = "application/json"
LARGE_BYTES = 4096
FORM_BYTES = 16 * 1024  # several times the longest login form
ANSWERS = (400, 408, 413, 415)


class BoundedRoute(APIRoute):
    """A route that reads and checks its body before FastAPI does.

    A route that declares no body, or streams its body, behaves like a plain `APIRoute`.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.body_field is not None:
            self.responses = documented(*ANSWERS) | self.responses

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle
        media_type: str = getattr(self.body_field.field_info, "media_type", JSON)

        async def bounded(request: Request) -> Response:
            limits: RequestLimits = request.app.state.request_limits
            most = limits.body_bytes if media_type == JSON else min(limits.body_bytes, FORM_BYTES)
            body = await read_body(request, max_bytes=most, within_seconds=limits.stall_seconds)
            if body:
                require_type(request, media_type)
                if media_type == JSON:
                    await _check_json(body, max_depth=limits.json_depth)
            return await handle(Request(request.scope, _replayed(body, request.receive)))

        return bounded


async def _check_json(body: bytes, *, max_depth: int) -> None:
    """Check the body; a large one in a thread, because 64 KiB take 10 ms. Raises Malformed, InvalidValue."""
    if len(body) > LARGE_BYTES:
        await asyncio.to_thread(check_json, body, max_depth=max_depth)
    else:
        check_json(body, max_depth=max_depth)


async def read_body(request: Request, *, max_bytes: int, within_seconds: float) -> bytes:
    """Return the whole body.

    Raises PayloadTooLarge as soon as the declared or the received length is over `max_bytes`, RequestTimeout if the
    body does not arrive within `within_seconds`, and ClientDisconnect.
    """
    declared = request.headers.get("Content-Length", "")
    body = bytearray()
    try:
        async with asyncio.timeout(within_seconds):
            _require_room(int(declared[:18]) if declared.isdecimal() else 0, max_bytes)
            async for part in request.stream():
                body += part
                _require_room(len(body), max_bytes)
    except TimeoutError:
        raise RequestTimeout("The body stopped arriving.") from None
    return bytes(body)


def _require_room(length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise PayloadTooLarge(f"The body may have at most {max_bytes} bytes.")


def require_type(request: Request, *media_types: str) -> None:
    """Raise UnsupportedMediaType unless Content-Type is one of these. `application/…+json` is JSON too (RFC 6839)."""
    name = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    is_json = name.startswith("application/") and name.endswith("+json")
    if (JSON if is_json else name) not in media_types:
        raise UnsupportedMediaType(f"The body must be {' or '.join(media_types)}, and Content-Type must say so.")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read already, and then the messages of `receive`."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay

"""Middleware that refuses a request because of its head, before any other part reads the headers."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gridhaul.asgi import problems
from gridhaul.asgi.header_limit import refusal_of_size
from gridhaul.asgi.single_fields import refusal_of_fields


class HeadChecks:
    """ASGI middleware that answers 431 to too large headers, 414 to a too long target, and 400 to repeated fields."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = (refusal_of_size(scope) or refusal_of_fields(scope)) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await problems.answer(Request(scope), refusal)(scope, receive, send)

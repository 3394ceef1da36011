"""Refuses requests with more header or target than a client of this service has a use for."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gridhaul.asgi import problems
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.transfer.errors import GridhaulError, HeadersTooLarge, UriTooLong

TARGET_BYTES = 8192  # RFC 9110, section 4.1: at least 8000 octets
LINE_BYTES = 4  # the colon, the space and the end of a header's line


class HeaderLimit:
    """ASGI middleware: 431 and 414."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await problems.answer(Request(scope), refusal)(scope, receive, send)


def _refusal(scope: Scope) -> GridhaulError | None:
    limits: RequestLimits = scope["app"].state.request_limits
    if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > TARGET_BYTES:
        return UriTooLong(f"The path and the query have at most {TARGET_BYTES} bytes.")
    if sum(len(name) + len(value) + LINE_BYTES for name, value in scope["headers"]) > limits.header_bytes:
        return HeadersTooLarge(f"All headers together have at most {limits.header_bytes} bytes.")
    return None

"""The limit of a request's headers and target, which is larger than any client of this service needs."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gridhaul.asgi import problems
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.transfer.errors import GridhaulError, HeadersTooLarge, UriTooLong

TARGET_BYTES = 8192  # RFC 9110, section 4.1, recommends support for at least 8000 octets
LINE_BYTES = 4  # the colon, the space, CR and LF of a header's line


class HeaderLimit:
    """ASGI middleware that answers 431 to too large headers and 414 to a too long request target."""

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
        return UriTooLong(f"The path and the query together may have at most {TARGET_BYTES} bytes.")
    if sum(len(name) + len(value) + LINE_BYTES for name, value in scope["headers"]) > limits.header_bytes:
        return HeadersTooLarge(f"All headers together may have at most {limits.header_bytes} bytes.")
    return None

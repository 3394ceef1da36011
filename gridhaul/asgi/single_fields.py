"""Header fields that a request may have only once: of two, a proxy and this service could each use a different one."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gridhaul.asgi import problems
from gridhaul.transfer.errors import Malformed

SINGLE_FIELDS = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"expect",
        b"host",
        b"idempotency-key",
        b"if-match",
        b"if-none-match",
        b"lease-fence",
        b"range",
        b"transfer-encoding",
    }
)


class SingleFields:
    """ASGI middleware that answers 400 to a request with one of these fields twice, or without Host (RFC 9112, 3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await problems.answer(Request(scope), refusal)(scope, receive, send)


def _refusal(scope: Scope) -> Malformed | None:
    names = [name for name, _ in scope["headers"] if name in SINGLE_FIELDS]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        return Malformed(f"The header field {twice.decode().title()} may occur only once.")
    if b"host" not in names and scope["http_version"] == "1.1":
        return Malformed("The header field Host is required.")
    return None

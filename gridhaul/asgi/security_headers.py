"""Security headers, which tell a browser to trust an answer no more than necessary."""

from collections.abc import Iterable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ONE_YEAR = "max-age=31536000"
JSON = (b"application/json", b"application/problem+json")

Fields = list[tuple[bytes, bytes]]


def _fields(headers: Mapping[str, str]) -> Fields:
    """Return the headers as ASGI has them: pairs of bytes, with lower-case names."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


ALWAYS = _fields(HEADERS)
NOT_KEPT = _fields({"Cache-Control": "no-store"})
SECURE = _fields({"Strict-Transport-Security": ONE_YEAR})


class SecurityHeaders:
    """ASGI middleware that adds the security headers. A header that a route has set stays as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _completed(message["headers"], secure=scope["scheme"] == "https")
            await send(message)

        await self._app(scope, receive, adding)


def _completed(headers: Iterable[tuple[bytes, bytes]], *, secure: bool) -> Fields:
    fields = list(headers)
    present = dict(fields)
    is_json = present.get(b"content-type", b"").startswith(JSON)
    wanted = ALWAYS + (NOT_KEPT if is_json else []) + (SECURE if secure else [])
    return fields + [field for field in wanted if field[0] not in present]

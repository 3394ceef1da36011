"""`X-HTTP-Method-Override`: the real method of a request to an upload, from clients that can only send POST."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gridhaul.asgi.paths import path_of
from gridhaul.transfer.errors import Malformed

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "PUT")
DOORS = ("/uploads/", "/named/")


class MethodOverride:
    """ASGI middleware before everything that decides by the method. Raises Malformed for a method that is none.

    The server keeps its own scope, whose method is POST: the client waits for the answer to a POST.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and f"{path_of(scope)}/".startswith(DOORS):
            method = Headers(scope=scope).get("X-HTTP-Method-Override", "POST").strip().upper()
            if method not in (*METHODS, "POST"):
                raise Malformed(f"X-HTTP-Method-Override must be one of {', '.join(METHODS)}.")
            await self._call_as(method, scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _call_as(self, method: str, scope: Scope, receive: Receive, send: Send) -> None:
        as_meant = {**scope, "method": method}
        try:
            await self._app(as_meant, receive, send)
        finally:
            scope["route"] = as_meant.get("route")  # for the log of requests

"""The door: a request goes no further without a valid token or key, unless its path is one of the few open ones."""

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.dependencies import get_service
from gridhaul.asgi import documentation
from gridhaul.asgi.request_log import note
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import Unauthorized

OPEN_PATHS = documentation.PATHS | {
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/auth/token",
    "/auth/token/",
    "/auth/revoke",
}


class Authentication:
    """ASGI middleware: puts the caller into the request's state. Raises Unauthorized, which the chain answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _path(scope) in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.caller = caller = await _caller(request)
        note(account=caller.username, key_id=caller.key_id)
        await self._app(scope, receive, send)


def _path(scope: Scope) -> str:
    """As the routes see it: without what a proxy put before it."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


async def _caller(request: Request) -> Caller:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("A bearer token is needed: an API key, or an access token from /auth/token/.")
    service = await get_service(request)
    caller = await service.authenticator.caller(token.strip())
    await service.rate_limits.count(caller.account)
    return caller

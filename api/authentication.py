"""Authentication: every request needs a valid access token or API key, unless its path is one of `OPEN_PATHS`."""

import re

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api import front_page
from api.dependencies import get_service
from gridhaul.asgi import documentation
from gridhaul.asgi.request_log import note
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import Unauthorized

OPEN_PATHS = documentation.PATHS | {
    front_page.PATH,
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/auth/token",
    "/auth/token/",
    "/auth/revoke",
}
UPLOAD = re.compile("/uploads/[0-9a-f]{56}")


class Authentication:
    """ASGI middleware that stores the caller in `request.state.caller`.

    Raises Unauthorized, TooManyRequests and DatabaseUnavailable, which `ProblemAnswers` in the chain answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _path(scope) in OPEN_PATHS or _asks_only_what_is_offered(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.caller = caller = await _caller(request)
        note(account=caller.username, key_id=caller.key_id)
        await self._app(scope, receive, send)


def _asks_only_what_is_offered(scope: Scope) -> bool:
    """Return whether a client without a token asks what tus clients can do here. A token is checked all the same."""
    has_token = any(name == b"authorization" for name, _ in scope["headers"])
    return scope["method"] == "OPTIONS" and not has_token and f"{_path(scope)}/".startswith("/uploads/")


def _path(scope: Scope) -> str:
    """Return the path as the routes see it: without the prefix of a reverse proxy (`root_path`)."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _continues_an_upload(request: Request) -> bool:
    """Return whether the request belongs to an upload, which may need many of them, and some clients give up at 429."""
    path, instead = _path(request.scope), request.headers.get("X-HTTP-Method-Override", "").upper()
    if request.method == "POST":
        return instead in ("HEAD", "PATCH") and UPLOAD.fullmatch(path) is not None
    return request.method in ("HEAD", "PATCH", "PUT") and path.startswith("/uploads/")


async def _caller(request: Request) -> Caller:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("An API key or an access token is needed.")
    service = await get_service(request)
    caller = await service.authenticator.caller(token.strip())
    if not _continues_an_upload(request):
        await service.rate_limits.count(caller.account)
    return caller

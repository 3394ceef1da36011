"""Authentication: every request needs a valid access token or API key, unless its path is one of `OPEN_PATHS`.

A download link takes their place for the content of its file.
"""

import re

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.dependencies import get_service
from api.page import front_page, session
from api.page.download_link import caller_of_link, link_of
from gridhaul.asgi import documentation
from gridhaul.asgi.paths import path_of
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
    *session.PATHS,
}
SCHEMES = frozenset({"bearer", "jwt"})  # `JWT` is what clients of older Django services send
UPLOAD = re.compile("/uploads/[0-9a-f]{56}(/chunks/[0-9]+)?")


class Authentication:
    """ASGI middleware that stores the caller in `request.state.caller`.

    Raises Unauthorized, TooManyRequests and DatabaseUnavailable, which `ProblemAnswers` in the chain answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(path_of(scope)) or _asks_only_what_is_offered(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.caller = caller = await _caller(request)
        note(account=caller.username, key_id=caller.key_id)
        await self._app(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(front_page.ASSETS)


def _asks_only_what_is_offered(scope: Scope) -> bool:
    """Return whether a client without a token asks what tus clients can do here. A token is checked all the same."""
    has_token = any(name == b"authorization" for name, _ in scope["headers"])
    return scope["method"] == "OPTIONS" and not has_token and f"{path_of(scope)}/".startswith("/uploads/")


def _continues_an_upload(request: Request) -> bool:
    """Return whether the request belongs to an upload, which may need many of them, and some clients give up at 429."""
    return request.method in ("HEAD", "PATCH", "PUT") and UPLOAD.fullmatch(path_of(request.scope)) is not None


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() not in SCHEMES or not token:
        raise Unauthorized("An API key or an access token is needed.")
    return token.strip()


async def _caller(request: Request) -> Caller:
    link = link_of(request)
    token = "" if link else _token(request)
    service = await get_service(request)
    caller = await (caller_of_link(link, service.authenticator) if link else service.authenticator.caller(token))
    if not _continues_an_upload(request):
        await service.rate_limits.count(caller.account)
    return caller

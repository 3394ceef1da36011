"""`/auth/session`: the login of the page. Its refresh token is only in a cookie that no script can read."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Request, Response
from pydantic import BaseModel, Field, SecretStr

from api.dependencies import Service, ServiceDep
from api.login import Login, log_in, log_out, refresh
from api.page.same_origin import require_own_page
from api.page.session_cookie import PATH, SessionCookie
from api.password_attempts import address_of
from api.uploads.creating import base_address
from gridhaul.asgi import problems
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.transfer.errors import Unauthorized

PATHS = frozenset({PATH, f"{PATH}/refresh"})

router = APIRouter(prefix=PATH, tags=["accounts"], route_class=BoundedRoute, dependencies=[Depends(require_own_page)])


def _cookie(request: Request, service: ServiceDep) -> SessionCookie:
    return SessionCookie.at(base_address(request, service), scheme=request.url.scheme)


CookieDep = Annotated[SessionCookie, Depends(_cookie)]


class SessionForm(BaseModel):
    username: str = Field(max_length=64)
    password: SecretStr = Field(max_length=1024)


class SessionView(BaseModel):
    """A session of the page. Its refresh token is in the cookie of the answer."""

    username: str
    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's word
    expires_in: int = Field(description="Seconds for which the access token is valid")
    scope: str


def _with_cookie(description: str) -> dict[str, Any]:
    field = {"description": description, "schema": {"type": "string"}}
    return {"headers": {"Set-Cookie": field}}


KEPT = _with_cookie("The refresh token: `HttpOnly`, `SameSite=Strict`, for as long as the session lasts")
CLEARED = _with_cookie("The cookie is cleared")


@router.post("", summary="Sign in to the page", responses={200: KEPT, **documented(401, 403, 429)})
async def begin_session(
    request: Request,
    response: Response,
    form: Annotated[SessionForm, Form()],
    cookie: CookieDep,
    service: ServiceDep,
) -> SessionView:
    """Get an access token for a password, and the refresh token as a cookie. A former session of the browser ends."""
    password, address = form.password.get_secret_value(), address_of(request)
    login = await log_in(form.username, password, scope="", address=address, service=service)
    await log_out(cookie.token_in(request), service)
    cookie.keep(login, response)
    return _view(login, service)


@router.post(
    "/refresh",
    summary="Refresh the page's session",
    response_model=SessionView,
    responses={200: KEPT, **documented(401, 403)},
)
async def refresh_session(
    request: Request, response: Response, cookie: CookieDep, service: ServiceDep
) -> SessionView | Response:
    """Get an access token for the cookie, and the next cookie.

    Tabs may do so at the same time, and a browser that lost the answer may do so again. The answer 401 clears the
    cookie: sign in again.
    """
    try:
        login = await refresh(cookie.token_in(request), scope="", service=service)
    except Unauthorized as error:
        refused = problems.answer(request, error)
        cookie.clear(refused)
        return refused
    cookie.keep(login, response)
    return _view(login, service)


@router.delete("", status_code=204, summary="Sign out of the page", responses={204: CLEARED, **documented(403)})
async def end_session(request: Request, response: Response, cookie: CookieDep, service: ServiceDep) -> None:
    """End the session, and clear the cookie. Access tokens stay valid until they expire.

    A session that has ended already is not an error.
    """
    await log_out(cookie.token_in(request), service)
    cookie.clear(response)


def _view(login: Login, service: Service) -> SessionView:
    return SessionView(
        username=login.account.username,
        access_token=login.access_token(service),
        expires_in=int(service.authenticator.lifetime_seconds),
        scope=login.scope,
    )

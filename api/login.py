"""`/auth`: a short-lived access token for a password, a new one for a refresh token, and the end of a login."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel, Field, SecretStr

from api.authenticator import NOT_VALID, is_over
from api.dependencies import Service, ServiceDep
from api.password_attempts import address_of
from gridhaul.asgi.audit import audit
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.identity.passwords import is_outdated
from gridhaul.transfer.access import Account, Scope, Session
from gridhaul.transfer.credentials import Credential, CredentialKind
from gridhaul.transfer.errors import Forbidden, InvalidValue, TooManyRequests, Unauthorized

router = APIRouter(prefix="/auth", tags=["accounts"], route_class=BoundedRoute)

WRONG = "Username or password is wrong."


class TokenForm(BaseModel):
    """RFC 6749, sections 4.3.2 and 6; `client_id` and `client_secret` are not looked at."""

    grant_type: Literal["password", "refresh_token"] = "password"
    username: str = Field(default="", max_length=64)
    password: SecretStr = Field(default=SecretStr(""), max_length=1024)
    refresh_token: SecretStr = Field(default=SecretStr(""), max_length=1024)
    scope: str = Field(default="", max_length=256, description="Fewer than the account has, separated by spaces")


class TokenView(BaseModel):
    """RFC 6749, section 5.1."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's word
    expires_in: int = Field(description="Seconds")
    refresh_token: str = Field(description="Good for one refresh, which gives the next one")
    scope: str


@router.post("/token", include_in_schema=False)
@router.post("/token/", summary="Log in, or refresh a login", responses=documented(401, 403, 429))
async def token(
    request: Request, response: Response, form: Annotated[TokenForm, Form()], service: ServiceDep
) -> TokenView:
    """An access token is good for a quarter of an hour; API keys (`/keys`) are for programs."""
    response.headers["Cache-Control"] = "no-store"
    if form.grant_type == "refresh_token":
        return await _refresh(form, service)
    return await _log_in(form, service, address_of(request))


@router.post("/revoke", status_code=204, summary="Log out")
async def revoke(token: Annotated[SecretStr, Form(min_length=1, max_length=1024)], service: ServiceDep) -> None:
    """The refresh token ends, as do all that it would have led to (RFC 7009). One that is not known is no error."""
    credential = Credential.parse(token.get_secret_value(), CredentialKind.REFRESH_TOKEN)
    if credential and (found := await _session(credential, service)):
        await service.accounts.end_session(credential.id)
        audit("logout", account=found[0].username)


async def _log_in(form: TokenForm, service: Service, address: str) -> TokenView:
    account = await service.accounts.named(form.username)
    password = form.password.get_secret_value()
    known = account.username if account else None  # a password that was typed as the name is not for the log
    try:
        right = await service.password_attempts.is_right(password, account, address=address)
    except TooManyRequests:
        audit("login", account=known, outcome="too_many", address=address)
        raise
    if account is None or not right:
        audit("login", account=known, outcome="wrong", address=address)
        raise Unauthorized(WRONG)
    await _require_usable(account, address, service)
    if account.password_hash and is_outdated(account.password_hash):
        await service.accounts.rehash(account, await service.passwords.hashed(password))
    scopes = _scopes(form.scope, account.scopes)
    credential = Credential.new(CredentialKind.REFRESH_TOKEN)
    expires = datetime.now(UTC) + timedelta(seconds=service.session_seconds)
    session = Session(id=credential.id, digest=credential.digest, scopes=scopes, expires_at=expires)
    if not await service.accounts.begin_session(account, session):
        raise Unauthorized(WRONG)  # the password was changed meanwhile
    audit("login", account=account.username, outcome="ok", address=address)
    return _view(account, session, credential, service)


async def _require_usable(account: Account, address: str, service: Service) -> None:
    """Counted like a wrong password where it is not: it took as much work, and the demo account's is public."""
    try:
        service.authenticator.require_usable(account)
    except Unauthorized:
        await service.rate_limits.count_failed_login(address)
        audit("login", account=account.username, outcome="refused", address=address)
        raise


async def _refresh(form: TokenForm, service: Service) -> TokenView:
    credential = Credential.parse(form.refresh_token.get_secret_value(), CredentialKind.REFRESH_TOKEN)
    found = await _session(credential, service) if credential else None
    if credential is None or found is None:
        raise Unauthorized(NOT_VALID)
    account, session = found
    service.authenticator.require_usable(account)
    scopes = _scopes(form.scope, tuple(scope for scope in session.scopes if scope in account.scopes))
    renewed = credential.renewed()
    if not await service.accounts.renew_session(session, digest=renewed.digest):
        raise Unauthorized(NOT_VALID)
    return _view(account, replace(session, scopes=scopes), renewed, service)


async def _session(credential: Credential, service: Service) -> tuple[Account, Session] | None:
    """The session of a refresh token. One that was used before has leaked: its session ends."""
    account = await service.accounts.with_session(credential.id)
    if account is None:
        return None
    session = account.sessions[0]
    if not credential.matches(session.digest):
        await service.accounts.end_session(session.id)
        audit("refresh_token_reused", account=account.username)
        return None
    return None if is_over(session.expires_at) else (account, session)


def _scopes(wanted: str, granted: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """Raises InvalidValue, Forbidden."""
    try:
        named = {Scope(name) for name in wanted.split()}
    except ValueError:
        raise InvalidValue(f"The scopes are: {' '.join(Scope)}.") from None
    if not named <= set(granted):
        raise Forbidden(f"This account has the scopes: {' '.join(granted) or 'none'}.")
    return tuple(scope for scope in granted if scope in named or not named)


def _view(account: Account, session: Session, credential: Credential, service: Service) -> TokenView:
    return TokenView(
        access_token=service.authenticator.access_token(account, frozenset(session.scopes)),
        expires_in=int(service.authenticator.lifetime_seconds),
        refresh_token=credential.text,
        scope=" ".join(session.scopes),
    )

"""`/auth`: log in with a password for a short-lived access token, refresh the login, and log out."""

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
    """A token request (RFC 6749, sections 4.3.2 and 6). `client_id` and `client_secret` are ignored."""

    grant_type: Literal["password", "refresh_token"] = "password"
    username: str = Field(default="", max_length=64)
    password: SecretStr = Field(default=SecretStr(""), max_length=1024)
    refresh_token: SecretStr = Field(default=SecretStr(""), max_length=1024)
    scope: str = Field(
        default="",
        max_length=256,
        description="Scopes for the token, separated by spaces; empty: all that the account or the login has",
    )


class TokenView(BaseModel):
    """The answer to a token request (RFC 6749, section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's word
    expires_in: int = Field(description="Seconds for which the access token is valid")
    refresh_token: str = Field(
        description="Valid for one refresh, whose answer holds the next refresh token; a repeated refresh within 30 "
        "seconds gets the same next refresh token"
    )
    scope: str


@router.post("/token", include_in_schema=False)
@router.post("/token/", summary="Log in, or refresh a login", responses=documented(401, 403, 429))
async def token(
    request: Request, response: Response, form: Annotated[TokenForm, Form()], service: ServiceDep
) -> TokenView:
    """Get an access token for a password or a refresh token. `expires_in` says how long the token is valid.

    Programs use API keys (`/keys`) instead.
    """
    response.headers["Cache-Control"] = "no-store"
    if form.grant_type == "refresh_token":
        return await _refresh(form, service)
    return await _log_in(form, address=address_of(request), service=service)


@router.post("/revoke", status_code=204, summary="Log out")
async def revoke(token: Annotated[SecretStr, Form(min_length=1, max_length=1024)], service: ServiceDep) -> None:
    """End the login of a refresh token, so that no later refresh token of this login is valid either (RFC 7009).

    An unknown token is not an error.
    """
    credential = Credential.parse(token.get_secret_value(), CredentialKind.REFRESH_TOKEN)
    if credential and (found := await _session(credential, service)):
        await service.accounts.end_session(credential.id)
        audit("logout", account=found[0].username)


async def _log_in(form: TokenForm, *, address: str, service: Service) -> TokenView:
    account = await service.accounts.named(form.username)
    password = form.password.get_secret_value()
    # Log a username only if the account exists: a user may have typed the password in place of the username.
    known = account.username if account else None
    try:
        right = await service.password_attempts.is_right(password, account, address=address)
    except TooManyRequests:
        audit("login", account=known, outcome="too_many", address=address)
        raise
    if account is None or not right:
        audit("login", account=known, outcome="wrong", address=address)
        raise Unauthorized(WRONG)
    await _require_usable(account, address=address, service=service)
    if account.password_hash and is_outdated(account.password_hash):
        await service.accounts.rehash(account, await service.passwords.hashed(password))
    scopes = _scopes(form.scope, account.scopes)
    credential = Credential.new(CredentialKind.REFRESH_TOKEN)
    expires = datetime.now(UTC) + timedelta(seconds=service.session_seconds)
    session = Session(id=credential.id, digest=credential.digest, scopes=scopes, expires_at=expires)
    if not await service.accounts.begin_session(account, session):
        raise Unauthorized(WRONG)  # the account was disabled or its password changed after the account was read
    audit("login", account=account.username, outcome="ok", address=address)
    return _view(account, session, refresh_token=credential, service=service)


async def _require_usable(account: Account, *, address: str, service: Service) -> None:
    """Raise Unauthorized if the account may not log in, and count that as a failed login of the address.

    The correct password of such an account counts like a wrong one: its check took as much work, and the demo account's
    password is public.
    """
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
    following = service.authenticator.next_refresh_token(credential)
    # The session has this successor already if another tab was faster or an answer was lost. Then nothing changes.
    if not await service.accounts.renew_session(session.id, presented=credential.digest, following=following.digest):
        raise Unauthorized(NOT_VALID)
    return _view(account, replace(session, scopes=scopes), refresh_token=following, service=service)


async def _session(credential: Credential, service: Service) -> tuple[Account, Session] | None:
    """Return the account and the session of a refresh token, or None if the token is not valid.

    The newest token is valid, and during the grace period the one before it too. Any other token of the session was
    used before and must have leaked, so its session is ended.
    """
    account = await service.accounts.with_session(credential.id)
    if account is None:
        return None
    session = account.sessions[0]
    if not any(credential.matches(digest) for digest in (session.digest, session.previous_digest) if digest):
        await service.accounts.end_session(session.id)
        audit("refresh_token_reused", account=account.username)
        return None
    return None if is_over(session.expires_at) else (account, session)


def _scopes(wanted: str, granted: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """Return the wanted scopes, or all granted scopes if `wanted` is empty. Raises InvalidValue, Forbidden."""
    try:
        named = {Scope(name) for name in wanted.split()}
    except ValueError:
        raise InvalidValue(f"scope names an unknown scope; the scopes are: {' '.join(Scope)}.") from None
    if not named <= set(granted):
        raise Forbidden(f"This account or login has only the scopes: {' '.join(granted) or 'none'}.")
    return tuple(scope for scope in granted if scope in named or not named)


def _view(account: Account, session: Session, *, refresh_token: Credential, service: Service) -> TokenView:
    return TokenView(
        access_token=service.authenticator.access_token(account, frozenset(session.scopes)),
        expires_in=int(service.authenticator.lifetime_seconds),
        refresh_token=refresh_token.text,
        scope=" ".join(session.scopes),
    )

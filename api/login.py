"""`/auth`: log in with a password for a short-lived access token, refresh the login, and log out."""

from dataclasses import dataclass, replace
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """A login that has just begun or was refreshed, and its newest refresh token, which only the client keeps."""

    account: Account
    session: Session
    refresh_token: Credential

    def access_token(self, service: Service) -> str:
        return service.authenticator.access_token(self.account, frozenset(self.session.scopes))

    @property
    def scope(self) -> str:
        return " ".join(self.session.scopes)


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
        description="The answer to a refresh holds the next refresh token. A token can be refreshed again, as after a "
        "lost answer, until 30 seconds after its next token was used"
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
        return _view(await refresh(form.refresh_token.get_secret_value(), scope=form.scope, service=service), service)
    password, address = form.password.get_secret_value(), address_of(request)
    login = await log_in(form.username, password, scope=form.scope, address=address, service=service)
    return _view(login, service)


@router.post("/revoke", status_code=204, summary="Log out")
async def revoke(token: Annotated[SecretStr, Form(min_length=1, max_length=1024)], service: ServiceDep) -> None:
    """End the login of a refresh token, so that no later refresh token of this login is valid either (RFC 7009).

    An unknown token is not an error.
    """
    await log_out(token.get_secret_value(), service)


async def log_in(username: str, password: str, *, scope: str, address: str, service: Service) -> Login:
    """Begin a login with the scopes that `scope` names, or with all scopes of the account if `scope` is empty.

    Raises Unauthorized, TooManyRequests, InvalidValue and Forbidden.
    """
    account = await service.accounts.named(username)
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
    scopes = _scopes(scope, account.scopes)
    credential = Credential.new(CredentialKind.REFRESH_TOKEN)
    expires = datetime.now(UTC) + timedelta(seconds=service.session_seconds)
    session = Session(id=credential.id, digest=credential.digest, scopes=scopes, expires_at=expires)
    if not await service.accounts.begin_session(account, session):
        raise Unauthorized(WRONG)  # the account was disabled or its password changed after the account was read
    audit("login", account=account.username, outcome="ok", address=address)
    return Login(account=account, session=session, refresh_token=credential)


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


async def refresh(token: str, *, scope: str, service: Service) -> Login:
    """Refresh the login of a refresh token. Raises Unauthorized, InvalidValue and Forbidden."""
    credential = Credential.parse(token, CredentialKind.REFRESH_TOKEN)
    found = await _session(credential, service) if credential else None
    if credential is None or found is None:
        raise Unauthorized(NOT_VALID)
    account, session = found
    service.authenticator.require_usable(account)
    scopes = _scopes(scope, tuple(one for one in session.scopes if one in account.scopes))
    following = await _following(credential, session, service)
    return Login(account=account, session=replace(session, scopes=scopes), refresh_token=following)


async def log_out(token: str, service: Service) -> None:
    """End the login of a refresh token. A text that is no valid refresh token changes nothing."""
    credential = Credential.parse(token, CredentialKind.REFRESH_TOKEN)
    if credential and (found := await _session(credential, service)):
        await service.accounts.end_session(credential.id)
        audit("logout", account=found[0].username)


async def _session(credential: Credential, service: Service) -> tuple[Account, Session] | None:
    """Return the account and the session of a refresh token, or None if the token is not valid.

    The newest token and the one before it are valid, and during the grace period the former one too (docs/adr/0025).
    Any other token of the session must have leaked, because the client went on with later ones, so the session ends.
    """
    account = await service.accounts.with_session(credential.id)
    if account is None:
        return None
    session = account.sessions[0]
    valid = (session.digest, session.previous_digest, session.former_digest)
    if not any(credential.matches(digest) for digest in valid if digest):
        await service.accounts.end_session(session.id)
        audit("refresh_token_reused", account=account.username)
        return None
    return None if is_over(session.expires_at) else (account, session)


async def _following(presented: Credential, session: Session, service: Service) -> Credential:
    """Return the refresh token that the client is to present next. Raises Unauthorized.

    The session's newest token is replaced by its successor. If another tab was faster, or an answer was lost, the
    session has a successor of the presented token already, and that one is returned.
    """
    following = service.authenticator.next_refresh_token(presented)
    if presented.matches(session.digest):
        digests = {"presented": presented.digest, "following": following.digest}
        is_newest = await service.accounts.renew_session(session.id, **digests)
    else:
        if session.previous_digest is None or not presented.matches(session.previous_digest):
            following = service.authenticator.next_refresh_token(following)
        is_newest = following.matches(session.digest)
    if not is_newest:
        raise Unauthorized(NOT_VALID)  # the session has ended just now, or SERVICE_SECRET was changed
    return following


def _scopes(wanted: str, granted: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """Return the wanted scopes, or all granted scopes if `wanted` is empty. Raises InvalidValue, Forbidden."""
    try:
        named = {Scope(name) for name in wanted.split()}
    except ValueError:
        raise InvalidValue(f"scope names an unknown scope; the scopes are: {' '.join(Scope)}.") from None
    if not named <= set(granted):
        raise Forbidden(f"This account or login has only the scopes: {' '.join(granted) or 'none'}.")
    return tuple(scope for scope in granted if scope in named or not named)


def _view(login: Login, service: Service) -> TokenView:
    return TokenView(
        access_token=login.access_token(service),
        expires_in=int(service.authenticator.lifetime_seconds),
        refresh_token=login.refresh_token.text,
        scope=login.scope,
    )

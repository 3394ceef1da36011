"""`/keys`: API keys, with which programs authenticate. A key is shown once, and a revocation holds at once."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request, Response

from api.account_schemas import KeyBody, KeysView, KeyView, NewKeyView, Username
from api.auth import AnyCaller
from api.confirmation import require_password
from api.dependencies import Id, Service, ServiceDep
from gridhaul.asgi.audit import audit
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.transfer.access import Account, ApiKey, Caller, Scope
from gridhaul.transfer.credentials import Credential, CredentialKind
from gridhaul.transfer.errors import Forbidden, NotFound, PasswordNeeded

router = APIRouter(prefix="/keys", tags=["accounts"], route_class=BoundedRoute)


@router.post("", status_code=201, summary="Make an API key", responses=documented(404, 409))
async def create_key(
    body: KeyBody, request: Request, response: Response, caller: AnyCaller, service: ServiceDep
) -> NewKeyView:
    """Make a key, which is used like an access token: `Authorization: Bearer ghk_…`.

    A key never has more scopes than its account. A request with an access token needs `current_password`. A request
    with an API key needs none, but then the new key expires no later than that key. Revoking that key does not revoke
    the new one.
    """
    if caller.key_id and not caller.is_admin:
        raise _refusal(caller, body.account)
    account = await _account(body.account, caller=caller, service=service)
    scopes = _scopes(body.scopes, account=account, caller=caller)
    if caller.key is None:
        await require_password(body.current_password, caller=caller, request=request, service=service)
    credential = Credential.new(CredentialKind.API_KEY)
    now = datetime.now(UTC).replace(microsecond=0)
    key = ApiKey(
        id=credential.id,
        name=body.name,
        digest=credential.digest,
        scopes=scopes,
        created_at=now,
        expires_at=_expiry(now, days=body.expires_in_days, maker=caller.key),
    )
    await service.accounts.add_key(account, key)
    audit("create_key", changed=account.username, created=key.id)
    response.headers["Cache-Control"] = "no-store"
    return NewKeyView.of(key, account.username, key=credential.text)


@router.get("", summary="List API keys, oldest first", responses=documented(404))
async def list_keys(caller: AnyCaller, service: ServiceDep, account: Username | None = None) -> KeysView:
    owner = await _account(account, caller=caller, service=service)
    keys = await service.accounts.keys(owner.username)
    return KeysView(keys=[KeyView.of(key, owner.username) for key in keys])


@router.delete("/{key_id}", status_code=204, summary="Revoke an API key", responses=documented(404))
async def revoke_key(key_id: Id, caller: AnyCaller, service: ServiceDep) -> None:
    """Revoke a key. A request with an API key can revoke only that key.

    To revoke another key, log in with the password, or use a key with the scope admin.
    """
    within_reach = caller.is_admin or caller.key_id in (None, key_id)
    account = await service.accounts.revoke_key(key_id, of=caller.sees_only) if within_reach else None
    if account is None:
        raise NotFound("There is no such key, or this token may not revoke it.")
    audit("revoke_key", changed=account.username, revoked=key_id)


def _refusal(caller: Caller, account: str | None) -> Forbidden:
    if account in (None, caller.username):
        return PasswordNeeded("An API key cannot make keys; log in with the password at /auth/token/.")
    return Forbidden("Only an admin makes keys for another account.")


async def _account(username: str | None, *, caller: Caller, service: Service) -> Account:
    """Return the caller's own account, or for an admin the account of that name. Raises NotFound."""
    if username in (None, caller.username):
        return caller.account
    found = await service.accounts.named(str(username)) if caller.is_admin else None
    if found is None:
        raise NotFound("There is no such account.")
    return found


def _expiry(now: datetime, *, days: int | None, maker: ApiKey | None) -> datetime | None:
    """Return when a new key expires: after `days`, but no later than the key `maker` of the request; None: never."""
    wanted = now + timedelta(days=days) if days else None
    limits = [limit for limit in (wanted, maker and maker.expires_at) if limit]
    return min(limits, default=None)


def _scopes(wanted: list[Scope] | None, *, account: Account, caller: Caller) -> tuple[Scope, ...]:
    """Return the wanted scopes, or for None all that the caller can give. Raises Forbidden for any other scope."""
    granted = account.scopes if caller.is_admin else tuple(scope for scope in account.scopes if scope in caller.scopes)
    if wanted is None:
        return granted
    if not set(wanted) <= set(granted):
        raise Forbidden(f"This key can have only the scopes: {' '.join(granted) or 'none'}.")
    return tuple(dict.fromkeys(wanted))

"""`/account`: the caller's own account. `/accounts`: all accounts, for admins."""

from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import SecretStr

from api.account_schemas import (
    USERNAME,
    AccountBody,
    AccountChanges,
    AccountSettings,
    AccountsView,
    AccountView,
    OwnAccountView,
    PasswordBody,
    UsernameInPath,
)
from api.auth import Administering, AnyCaller
from api.confirmation import require_password
from api.dependencies import Limit, Service, ServiceDep
from api.schemas import LOCATION
from gridhaul.asgi.audit import audit
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.identity.passwords import check_password
from gridhaul.source.opened import check_path
from gridhaul.transfer.access import Account, Caller, NewAccount, Scope
from gridhaul.transfer.errors import InvalidValue, NotFound, StateConflict, TargetUnknown

router = APIRouter(tags=["accounts"], route_class=BoundedRoute)

AfterUsername = Annotated[str | None, Query(pattern=USERNAME, description="`next_cursor` of the previous page")]


@router.get("/account", summary="Get the caller's own account")
async def get_own_account(caller: AnyCaller) -> OwnAccountView:
    return OwnAccountView.of_caller(caller)


@router.put("/account/password", status_code=204, summary="Change the caller's own password")
async def change_password(request: Request, body: PasswordBody, caller: AnyCaller, service: ServiceDep) -> None:
    """Change the password and end every login of the account, this one too.

    API keys stay valid. With `revoke_keys` all of them are revoked, also the request's own.
    """
    new = check_password(body.new_password.get_secret_value())
    await require_password(body.current_password, caller=caller, request=request, service=service)
    hashed = await service.passwords.hashed(new)
    await _set_password(caller.username, hashed, revoke_keys=body.revoke_keys, service=service)
    audit("change_password", changed=caller.username, revoke_keys=body.revoke_keys)


@router.get("/accounts", summary="List accounts, by name")
async def list_accounts(
    _: Administering, service: ServiceDep, limit: Limit = 100, cursor: AfterUsername = None
) -> AccountsView:
    accounts = await service.accounts.page(limit=limit, after=cursor)
    next_cursor = accounts[-1].username if len(accounts) == limit else None
    return AccountsView(accounts=[AccountView.of(account) for account in accounts], next_cursor=next_cursor)


@router.post("/accounts", status_code=201, summary="Make an account", responses={201: LOCATION, **documented(409)})
async def create_account(
    body: AccountBody, request: Request, response: Response, caller: Administering, service: ServiceDep
) -> AccountView:
    """Make an account. An account without a password can only use API keys.

    Accounts can be disabled but never removed, so that no second account ever gets the same name. To make an account
    with a password, a request with an access token or with an API key that expires needs `current_password`.
    """
    if body.password and caller.expires:
        await require_password(body.current_password, caller=caller, request=request, service=service)
    changes = await _changes(body, service)
    account = await service.accounts.create(NewAccount(username=body.username, **changes))
    audit("create_account", changed=account.username)
    response.headers["Location"] = f"/accounts/{account.username}"
    return AccountView.of(account)


@router.get("/accounts/{username}", summary="Get one account", responses=documented(404))
async def get_account(username: UsernameInPath, _: Administering, service: ServiceDep) -> AccountView:
    return AccountView.of(_require_found(await service.accounts.named(username)))


@router.patch("/accounts/{username}", summary="Change an account", responses=documented(404, 409))
async def change_account(
    username: UsernameInPath, body: AccountChanges, request: Request, caller: Administering, service: ServiceDep
) -> AccountView:
    """Change the members that the body names.

    The change holds from the next request on, also for existing tokens and keys. A new password ends every login of the
    account, and with `revoke_keys` it revokes all its API keys. A request with an access token, or with an API key that
    expires, needs `current_password` to change `password`, `scopes`, `roots` or `targets`, and to enable the account.
    """
    if _may_give_access(body) and caller.expires:
        await require_password(body.current_password, caller=caller, request=request, service=service)
    _check_revocation(body, username=username, caller=caller)
    changes = await _changes(body, service)
    if username == caller.username:
        _require_still_admin(changes)
    if "password_hash" in changes:
        hashed = changes.pop("password_hash")
        _require_found(await _set_password(username, hashed, revoke_keys=body.revoke_keys, service=service))
    account = _require_found(await service.accounts.change(username, changes))
    audit("change_account", changed=username, fields=sorted(body.model_fields_set - {"current_password"}))
    return AccountView.of(account)


def _may_give_access(body: AccountChanges) -> bool:
    """Return whether the change can give somebody access that lasts longer than the caller's token or key.

    Wider rights and enabling can do so too: the caller may hold a key of the changed account.
    """
    named = body.model_fields_set
    return not named.isdisjoint({"password", "scopes", "roots", "targets"}) or (
        "disabled" in named and not body.disabled
    )


def _check_revocation(body: AccountChanges, *, username: str, caller: Caller) -> None:
    """Raise InvalidValue for `revoke_keys` without `password`.

    Raises StateConflict if the caller would remove its own password and all its keys.
    """
    if body.revoke_keys and "password" not in body.model_fields_set:
        raise InvalidValue("All keys are revoked together with a new password only, or with its removal.")
    if body.revoke_keys and body.password is None and username == caller.username:
        raise StateConflict(
            "You cannot remove your own password and all your keys at once: nobody could use the account any "
            "more. Give a new password instead."
        )


async def _set_password(
    username: str, password_hash: str | None, *, revoke_keys: bool, service: Service
) -> Account | None:
    if revoke_keys:
        return await service.accounts.set_password_and_revoke_keys(username, password_hash)
    return await service.accounts.set_password(username, password_hash)


def _require_still_admin(changes: dict[str, Any]) -> None:
    if changes.get("disabled") or Scope.ADMIN not in changes.get("scopes", (Scope.ADMIN,)):
        raise StateConflict(
            "An account cannot disable itself or give up its scope admin; use another account with the scope admin."
        )


async def _changes(body: AccountSettings, service: Service) -> dict[str, Any]:
    """Return the fields of the record that the body names. Raises InvalidValue, PathInvalid, TargetUnknown."""
    named = body.model_fields_set - {"username", "password", "current_password", "revoke_keys"}
    changes = {name: getattr(body, name) for name in named}
    if "scopes" in named and body.scopes is None:
        raise InvalidValue("The scopes must be a list; it may be empty.")
    for name in ("scopes", "roots", "targets"):
        if changes.get(name) is not None:
            changes[name] = tuple(dict.fromkeys(changes[name]))
    if changes.get("roots"):
        changes["roots"] = tuple(_root(root, service.roots) for root in changes["roots"])
    for target in changes.get("targets") or ():
        if target not in service.targets:
            raise TargetUnknown(f"There is no such target; configured are: {', '.join(sorted(service.targets))}.")
    if "password" in body.model_fields_set:
        changes["password_hash"] = await _hashed(body.password, service)
    return changes


async def _hashed(password: SecretStr | None, service: Service) -> str | None:
    return await service.passwords.hashed(check_password(password.get_secret_value())) if password else None


def _root(text: str, configured: tuple[Path, ...]) -> str:
    """Return the directory in the form that paths are compared with: without a slash at its end or doubled slashes.

    Raises InvalidValue, PathInvalid.
    """
    root = PurePosixPath(check_path(text))
    if ".." in root.parts or not any(root.is_relative_to(server_root) for server_root in configured):
        raise InvalidValue(f"Roots must be directories at or beneath: {', '.join(map(str, configured))}.")
    return str(root)


def _require_found(account: Account | None) -> Account:
    if account is None:
        raise NotFound("There is no such account.")
    return account

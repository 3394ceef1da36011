"""Accounts and API keys. A caller manages its own password and keys; everything else needs the scope admin."""

import sys
from collections.abc import Sequence
from typing import cast

from gridhaul.client.connection import Connection
from gridhaul.client.records import AccountChanges, AccountRecord, KeyRecord, NewKeyRecord

ALL = sys.maxsize


class Accounts:
    """Requests to `/account`, the caller's own account, and to `/accounts`."""

    def __init__(self, connection: Connection, current_password: str | None) -> None:
        self._connection = connection
        self._confirmation = _confirmation(current_password)

    def own(self) -> AccountRecord:
        return cast(AccountRecord, self._connection.get("/account"))

    def change_own_password(self, current: str, new: str, *, revoke_keys: bool) -> None:
        """Change the caller's password, which ends every login; with `revoke_keys`, also every API key.

        The client does not repeat the request when its answer is lost: `current` may no longer be the password.
        """
        body = {"current_password": current, "new_password": new, "revoke_keys": revoke_keys}
        self._connection.once("PUT", "/account/password", body)

    def all(self) -> list[AccountRecord]:
        """Return all accounts, sorted by name."""
        return cast(list[AccountRecord], self._connection.listed("accounts", limit=ALL))

    def account(self, username: str) -> AccountRecord:
        return cast(AccountRecord, self._connection.get(f"/accounts/{username}"))

    def create(self, username: str, values: AccountChanges) -> AccountRecord:
        """Create an account; `values` must name the scopes.

        The client does not repeat the request when its answer is lost: the account may exist.
        """
        body = {"username": username, **values, **self._confirmation}
        return cast(AccountRecord, self._connection.once("POST", "/accounts", body))

    def change(self, username: str, changes: AccountChanges) -> AccountRecord:
        """Change the named fields, and no others. A repeated request has the same answer."""
        body = {**changes, **self._confirmation}
        return cast(AccountRecord, self._connection.patch(f"/accounts/{username}", body))


class Keys:
    """Requests to `/keys`: the caller's own keys, and for admins the keys of `account`."""

    def __init__(self, connection: Connection, current_password: str | None) -> None:
        self._connection = connection
        self._confirmation = _confirmation(current_password)

    def create(
        self, name: str, *, scopes: Sequence[str] | None, expires_in_days: int | None, account: str | None
    ) -> NewKeyRecord:
        """Make a key. Only this answer holds the key itself.

        The client does not repeat the request when its answer is lost: a second request makes a second key.
        """
        body = {"name": name, "scopes": scopes, "expires_in_days": expires_in_days, "account": account}
        return cast(NewKeyRecord, self._connection.once("POST", "/keys", body | self._confirmation))

    def of(self, account: str | None) -> list[KeyRecord]:
        """Return the keys, oldest first."""
        params = {} if account is None else {"account": account}
        return cast(list[KeyRecord], self._connection.get("/keys", **params)["keys"])

    def revoke(self, key_id: str) -> None:
        """Revoke the key at once. Raises ApiError (404) for a key that does not exist or is already revoked."""
        self._connection.delete(f"/keys/{key_id}")


def _confirmation(current_password: str | None) -> dict[str, str]:
    """Return the member that confirms requests which give lasting access."""
    return {} if current_password is None else {"current_password": current_password}

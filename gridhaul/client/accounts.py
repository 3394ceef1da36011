"""Accounts and API keys. Everybody manages his own keys; the rest needs the scope admin."""

import sys
from collections.abc import Sequence
from typing import cast

from gridhaul.client.connection import Connection
from gridhaul.client.records import AccountChanges, AccountRecord, KeyRecord, NewKeyRecord

ALL = sys.maxsize


class Accounts:
    """`/account`, the caller's own, and `/accounts`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def own(self) -> AccountRecord:
        return cast(AccountRecord, self._connection.get("/account"))

    def change_own_password(self, current: str, new: str) -> None:
        """Every login ends. Not repeated when the answer is lost: the current password may be another one by then."""
        self._connection.once("PUT", "/account/password", {"current_password": current, "new_password": new})

    def all(self) -> list[AccountRecord]:
        """By name."""
        return cast(list[AccountRecord], self._connection.listed("accounts", limit=ALL))

    def account(self, username: str) -> AccountRecord:
        return cast(AccountRecord, self._connection.get(f"/accounts/{username}"))

    def create(self, username: str, values: AccountChanges) -> AccountRecord:
        """`values` must name the scopes. Not repeated when the answer is lost: then the account may exist."""
        return cast(AccountRecord, self._connection.once("POST", "/accounts", {"username": username, **values}))

    def change(self, username: str, changes: AccountChanges) -> AccountRecord:
        """What is not named stays. Repeated: the same answer."""
        return cast(AccountRecord, self._connection.patch(f"/accounts/{username}", changes))


class Keys:
    """`/keys`: the caller's own, and for admins those of `account`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self, name: str, *, scopes: Sequence[str] | None, expires_in_days: int | None, account: str | None
    ) -> NewKeyRecord:
        """The key itself is in this answer only. Not repeated when the answer is lost: that would be a second key."""
        body = {"name": name, "scopes": scopes, "expires_in_days": expires_in_days, "account": account}
        return cast(NewKeyRecord, self._connection.once("POST", "/keys", body))

    def of(self, account: str | None) -> list[KeyRecord]:
        """Oldest first."""
        params = {} if account is None else {"account": account}
        return cast(list[KeyRecord], self._connection.get("/keys", **params)["keys"])

    def revoke(self, key_id: str) -> None:
        """At once. Repeated: there is no such key, as for one that never was."""
        self._connection.delete(f"/keys/{key_id}")

"""Accounts over a plain dict: as much of them as the suites ask for, and what their files use."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

from gridhaul.transfer.access import Account, NewAccount
from gridhaul.transfer.errors import QuotaExceeded
from gridhaul.transfer.ports import AccountUsage
from tests.contracts.memory_registry import new_id


class MemoryAccounts:
    def __init__(self) -> None:
        self.by_name: dict[str, Account] = {}

    async def create(self, new: NewAccount) -> Account:
        now = datetime.now(UTC)
        values: dict[str, Any] = {field.name: getattr(new, field.name) for field in fields(new)}
        account = self.by_name[new.username] = Account(id=new_id(), created_at=now, updated_at=now, **values)
        return account

    async def named(self, username: str) -> Account | None:
        return self.by_name.get(username)


class MemoryUsage:
    """`transfer.ports.AccountUsage`. No method awaits anything, so each is atomic."""

    def __init__(self, accounts: MemoryAccounts, *, quota_bytes: int | None) -> None:
        self._accounts = accounts.by_name
        self._quota_bytes = quota_bytes

    async def charge(self, owner: str, length_bytes: int) -> None:
        account = self._accounts.get(owner)
        if account is None:
            return
        quota = self._quota_bytes if account.quota_bytes is None else account.quota_bytes
        then = account.used_bytes + length_bytes
        if length_bytes and quota is not None and then > quota:
            raise QuotaExceeded(f"The quota is {quota} bytes, and {then} would be used.")
        self._accounts[owner] = replace(account, used_bytes=then)

    async def announce(self, owner: str) -> None:
        """There is no recount here that it could concern."""

    async def release(self, owner: str, length_bytes: int) -> None:
        account = self._accounts.get(owner)
        if account is not None:
            self._accounts[owner] = replace(account, used_bytes=max(0, account.used_bytes - length_bytes))


def _check(usage: MemoryUsage) -> None:
    """For the type checker: it is what it stands for."""
    _: AccountUsage = usage

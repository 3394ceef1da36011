"""Memory twins of the accounts, and of the bytes that their files count, over a plain dict."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from gridhaul.storage.accounts.accounts import GRACE_SECONDS, KEYS_MOST, SESSIONS_MOST
from gridhaul.transfer.access import Account, ApiKey, NewAccount, Session
from gridhaul.transfer.errors import AccountExists, QuotaExceeded, StateConflict, TooManyKeys
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.accounts import Accounts, AccountUsage
from tests.contracts.memory_registry import new_id


class MemoryAccounts:
    """A twin of `transfer.ports.accounts.Accounts`. No method awaits anything, so each is atomic."""

    def __init__(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        self.by_name: dict[str, Account] = {}
        self._grace = timedelta(seconds=grace_seconds)

    async def create(self, new: NewAccount) -> Account:
        if new.username in self.by_name:
            raise AccountExists("There is an account of this name already.")
        now = datetime.now(UTC)
        values: dict[str, Any] = {field.name: getattr(new, field.name) for field in fields(new)}
        account = self.by_name[new.username] = Account(id=new_id(), created_at=now, updated_at=now, **values)
        return account

    async def named(self, username: str) -> Account | None:
        account = self.by_name.get(username)
        return _bare(account) if account else None

    async def with_key(self, key_id: RecordId) -> Account | None:
        for account in self.by_name.values():
            if key := next((one for one in account.keys if one.id == key_id), None):
                return replace(account, keys=(key,), sessions=())
        return None

    async def with_session(self, session_id: RecordId) -> Account | None:
        for account in self.by_name.values():
            if session := next((one for one in account.sessions if one.id == session_id), None):
                return replace(account, keys=(), sessions=(self._in_grace(session),))
        return None

    async def page(self, *, limit: int, after: str | None) -> Sequence[Account]:
        names = sorted(name for name in self.by_name if after is None or name > after)
        return [_bare(self.by_name[name]) for name in names[:limit]]

    async def change(self, username: str, changes: dict[str, Any]) -> Account | None:
        ended = {"sessions": ()} if changes.get("disabled") else {}
        return self._update(username, **changes, **ended)

    async def set_password(self, username: str, password_hash: str | None) -> Account | None:
        account = self.by_name.get(username)
        generation = account.generation + 1 if account else 0
        return self._update(username, password_hash=password_hash, sessions=(), generation=generation)

    async def set_password_and_revoke_keys(self, username: str, password_hash: str | None) -> Account | None:
        self._update(username, keys=())
        return await self.set_password(username, password_hash)

    async def rehash(self, account: Account, password_hash: str) -> None:
        if self.by_name[account.username].password_hash == account.password_hash:
            self._update(account.username, password_hash=password_hash)

    async def keys(self, username: str) -> Sequence[ApiKey]:
        account = self.by_name.get(username)
        return account.keys if account else ()

    async def add_key(self, account: Account, key: ApiKey) -> None:
        now = self.by_name[account.username]
        if any(one.id == key.id for one in now.keys):
            return
        if now.generation != account.generation:
            raise StateConflict("The account got another password just now.")
        if len(now.keys) >= KEYS_MOST:
            raise TooManyKeys(f"An account has at most {KEYS_MOST} keys; revoke some.")
        self._update(account.username, keys=(*now.keys, key))

    async def revoke_key(self, key_id: RecordId, *, of: str | None) -> Account | None:
        account = await self.with_key(key_id)
        if account is None or of not in (None, account.username):
            return None
        kept = tuple(one for one in self.by_name[account.username].keys if one.id != key_id)
        return self._update(account.username, keys=kept)

    async def begin_session(self, account: Account, session: Session) -> bool:
        now = self.by_name.get(account.username)
        if now is None or now.disabled or now.generation != account.generation:
            return False
        self._update(account.username, sessions=(*now.sessions, session)[-SESSIONS_MOST:])
        return True

    async def renew_session(self, session_id: RecordId, *, presented: str, following: str) -> bool:
        for account in self.by_name.values():
            for session in account.sessions:
                if session.id == session_id:
                    return self._renew(account, session, presented, following)
        return False

    def _renew(self, account: Account, session: Session, presented: str, following: str) -> bool:
        if session.digest == presented:
            former, now = session.previous_digest, datetime.now(UTC)
            renewed = replace(
                session, digest=following, previous_digest=presented, former_digest=former, renewed_at=now
            )
            self._replace_session(account, renewed)
            return True
        digests = (session.digest, session.previous_digest, session.former_digest)
        return (following, presented) in pairwise(digests)

    def _in_grace(self, session: Session) -> Session:
        accepted = session.renewed_at is not None and session.renewed_at > datetime.now(UTC) - self._grace
        return session if accepted else replace(session, former_digest=None)

    async def end_session(self, session_id: RecordId) -> None:
        if account := await self.with_session(session_id):
            self._replace_session(account, None, session_id)

    def _replace_session(self, account: Account, session: Session | None, ended: RecordId | None = None) -> None:
        changed = session.id if session else ended
        others = (one if one.id != changed else session for one in self.by_name[account.username].sessions)
        self._update(account.username, sessions=tuple(one for one in others if one is not None))

    def _update(self, username: str, **values: Any) -> Account | None:
        if username not in self.by_name:
            return None
        self.by_name[username] = replace(self.by_name[username], updated_at=datetime.now(UTC), **values)
        return _bare(self.by_name[username])


class MemoryUsage:
    """A twin of `transfer.ports.accounts.AccountUsage`. No method awaits anything, so each is atomic."""

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
        """Do nothing: no recount reads these accounts."""

    async def release(self, owner: str, length_bytes: int) -> None:
        account = self._accounts.get(owner)
        if account is not None:
            self._accounts[owner] = replace(account, used_bytes=max(0, account.used_bytes - length_bytes))

    async def free_bytes(self, owner: str) -> int | None:
        account = self._accounts.get(owner)
        if account is None:
            return None
        quota = self._quota_bytes if account.quota_bytes is None else account.quota_bytes
        return None if quota is None else max(0, quota - account.used_bytes)


def _bare(account: Account) -> Account:
    return replace(account, keys=(), sessions=())


def _check(accounts: MemoryAccounts, usage: MemoryUsage) -> None:
    """Let the type checker see that the twins have the methods of their ports."""
    _: tuple[Accounts, AccountUsage] = (accounts, usage)

"""Accounts with their keys and sessions, and the bytes that their files count.

All methods raise DatabaseUnavailable.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from gridhaul.transfer.access import Account, ApiKey, NewAccount, Session
from gridhaul.transfer.model import RecordId


class AccountUsage(Protocol):
    """The bytes that an owner's files count against the quota, never less than the files' `used_bytes` together.

    Call `charge` before a write that adds bytes to the files. Call `announce` before a write that removes bytes, and
    `release` after it. A crash in between leaves a count that is too high. A recount corrects it, and leaves out
    accounts that were charged or announced in the last two minutes. No method is idempotent: a call whose answer was
    lost is not repeated.
    """

    async def charge(self, owner: str, length_bytes: int) -> None:
        """Count more bytes; 0 always fits. An owner without an account has no limit.

        Raises QuotaExceeded, and changes nothing then.
        """

    async def announce(self, owner: str) -> None:
        """Note that a release follows, so that the recount leaves the account out."""

    async def release(self, owner: str, length_bytes: int) -> None:
        """Count fewer bytes, never fewer than 0."""

    async def free_bytes(self, owner: str) -> int | None:
        """Return what the quota leaves, at least 0; None if there is no quota."""


class AccountLookup(Protocol):
    """Reads of accounts. A read sees every revocation that was acknowledged before the read began."""

    async def named(self, username: str) -> Account | None:
        """Return the account without its keys and sessions, or None."""

    async def with_key(self, key_id: RecordId) -> Account | None:
        """Return the account that has this key, with only this key in `keys`; None if no account has it."""

    async def with_session(self, session_id: RecordId) -> Account | None:
        """Return the account that has this session, with only this one in `sessions`; None if no account has it.

        `former_digest` is None once the grace period after the last renewal is over. Only the database server's clock
        measures the grace period.
        """


class AccountAdministration(Protocol):
    async def create(self, new: NewAccount) -> Account:
        """Make the account. Raises AccountExists. Not idempotent: a repeated call raises."""

    async def page(self, *, limit: int, after: str | None) -> Sequence[Account]:
        """Return at most `limit` accounts in the order of their usernames, from the one after `after`."""

    async def change(self, username: str, changes: dict[str, Any]) -> Account | None:
        """Change fields and return the account, or None if there is none. Disabling it ends its sessions."""

    async def set_password(self, username: str, password_hash: str | None) -> Account | None:
        """Change the password and return the account, or None if there is none. Its sessions end; its keys stay."""

    async def set_password_and_revoke_keys(self, username: str, password_hash: str | None) -> Account | None:
        """Do what `set_password` does, and remove all keys of the account in the same write."""

    async def rehash(self, account: Account, password_hash: str) -> None:
        """Store the same password under new parameters, unless the password was changed since `account` was read."""


class AccountKeys(Protocol):
    async def keys(self, username: str) -> Sequence[ApiKey]:
        """Return the account's keys, oldest first; none if there is no such account."""

    async def add_key(self, account: Account, key: ApiKey) -> None:
        """Add the key, unless the account has a key with its id.

        Raises TooManyKeys, and StateConflict if the account got another password since it was read: the new password
        may have revoked all keys.
        """

    async def revoke_key(self, key_id: RecordId, *, of: str | None) -> Account | None:
        """Remove the key and return the account that had it. With `of`, only that account's key is removed.

        Return None if no key was removed.
        """


class AccountSessions(Protocol):
    async def begin_session(self, account: Account, session: Session) -> bool:
        """Add the session. Return False if the account was disabled or got another password since it was read."""

    async def renew_session(self, session_id: RecordId, *, presented: str, following: str) -> bool:
        """Replace the session's digest `presented` by `following`.

        `presented` becomes the previous digest, and the previous digest becomes the former one. A repeated call changes
        nothing and returns True, also after one further renewal. Return False if the session has ended, or if neither
        `presented` is its digest nor `following` came after `presented` in one of its last two renewals.
        """

    async def end_session(self, session_id: RecordId) -> None:
        """Remove the session, if it exists."""


class Accounts(AccountLookup, AccountAdministration, AccountKeys, AccountSessions, Protocol):
    """All that the api needs of accounts."""

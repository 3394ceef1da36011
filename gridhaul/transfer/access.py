"""Who may do what: accounts, their keys and sessions, and the caller of a request."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from gridhaul.transfer.errors import Forbidden
from gridhaul.transfer.model import RecordId


class Scope(StrEnum):
    """What a token allows (RFC 6749, section 3.3)."""

    PREPARE = "prepare"
    FINALIZE = "finalize"
    READ = "read"
    DELETE = "delete"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """A key of an account. Its secret was shown once; what is kept is a digest of it."""

    id: RecordId
    name: str
    digest: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A login that can be refreshed. Each refresh gives it a new secret."""

    id: RecordId
    digest: str
    scopes: tuple[Scope, ...]
    expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """One that is read by a key or session holds only that one; lists hold none."""

    id: RecordId
    username: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    updated_at: datetime
    password_hash: str | None = field(default=None, repr=False)  # argon2id; None: it has only keys
    roots: tuple[str, ...] | None = None  # None: every root of the server
    targets: tuple[str, ...] | None = None  # None: every target
    quota_bytes: int | None = None  # None: the server's setting
    used_bytes: int = 0  # the lengths of its files that are not deleted
    max_open_files: int | None = None  # None: the server's setting
    disabled: bool = False
    demo: bool = False  # its password is public
    generation: int = 0  # access tokens of an older one have ended
    keys: tuple[ApiKey, ...] = ()
    sessions: tuple[Session, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAccount:
    username: str
    scopes: tuple[Scope, ...]
    password_hash: str | None = field(default=None, repr=False)
    roots: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    quota_bytes: int | None = None
    max_open_files: int | None = None
    disabled: bool = False
    demo: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """An account, and what the token or key at hand allows of its scopes."""

    account: Account
    scopes: frozenset[Scope]
    key_id: RecordId | None = None  # None: logged in with the password

    @property
    def username(self) -> str:
        return self.account.username

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    @property
    def sees_only(self) -> str | None:
        """The owner whose records it may see; None for all."""
        return None if self.is_admin else self.username

    def sees(self, owner: str) -> bool:
        return self.sees_only in (None, owner)

    def require(self, *scopes: Scope) -> None:
        """Raises Forbidden that names what is missing."""
        if missing := sorted(set(scopes) - self.scopes):
            raise Forbidden(f"This token does not have the scope {' '.join(missing)}.")

    def require_target(self, name: str) -> None:
        """Raises Forbidden."""
        if not self.sees_target(name):
            raise Forbidden("This account may not deliver to that target.")

    def sees_target(self, name: str) -> bool:
        return self.account.targets is None or name in self.account.targets

    def roots_among(self, configured: tuple[Path, ...]) -> tuple[Path, ...]:
        """The directories it may send from."""
        if self.account.roots is None:
            return configured
        return tuple(Path(root) for root in self.account.roots)

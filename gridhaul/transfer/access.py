"""Who may do what: accounts, their keys and sessions, and the caller of a request."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from gridhaul.transfer.errors import Forbidden
from gridhaul.transfer.model import RecordId


class Scope(StrEnum):
    """A right that a token or key gives (RFC 6749, section 3.3)."""

    PREPARE = "prepare"
    FINALIZE = "finalize"
    READ = "read"
    DELETE = "delete"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """A key of an account. Its secret was shown once; only a digest of the secret is kept."""

    id: RecordId  # in the key's text
    name: str  # chosen by people, not unique
    digest: str  # of the secret, as in `Credential.digest`
    scopes: tuple[Scope, ...]  # the most that the key can allow; the account's scopes limit the key as well
    created_at: datetime
    expires_at: datetime | None = None  # None: never


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A login that can be refreshed. Each refresh gives the session a new secret."""

    id: RecordId  # in the text of every refresh token of the session
    digest: str  # of the newest refresh token's secret, as in `Credential.digest`; changes with each refresh
    scopes: tuple[Scope, ...]  # chosen at the login; the account's scopes limit the session as well
    expires_at: datetime  # set at the login; a refresh does not move it
    previous_digest: str | None = None  # of the refresh token that the newest one replaced; None: there was none
    former_digest: str | None = None  # of the refresh token before the previous one; None: that one is not valid
    renewed_at: datetime | None = None  # the database server's time of the last refresh; None: there was none


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """An account. If it was found by a key or a session, it holds only that one; else it holds no keys or sessions."""

    id: RecordId
    username: str  # unique; no other account ever gets the same name
    scopes: tuple[Scope, ...]  # the most that the account's tokens and keys can allow
    created_at: datetime
    updated_at: datetime  # last change of settings or password
    password_hash: str | None = field(default=None, repr=False)  # argon2id; None: only keys give access
    roots: tuple[str, ...] | None = None  # absolute directories to send from; (): none; None: every root of the server
    targets: tuple[str, ...] | None = None  # names of targets to deliver to; (): none; None: every target
    quota_bytes: int | None = None  # limit of `used_bytes`; None: the setting QUOTA_BYTES
    used_bytes: int = 0  # sum of the lengths of the files that are not DELETED; after a crash too high, until a recount
    max_open_files: int | None = None  # most files that may wait to be stored; None: the setting MAX_OPEN_FILES
    disabled: bool = False  # True: all tokens and keys of the account are refused
    demo: bool = False  # True: the password is public, so the account is refused unless ALLOW_DEMO is set
    generation: int = 0  # grows by one with each new password; access tokens of another generation are refused
    keys: tuple[ApiKey, ...] = ()
    sessions: tuple[Session, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAccount:
    """The fields of an account that its creator sets. They mean what they mean in `Account`."""

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
    """An account, and those of its scopes that the request's token or key allows."""

    account: Account
    scopes: frozenset[Scope]
    key: ApiKey | None = None  # the request's API key; None: the request has an access token

    @property
    def username(self) -> str:
        return self.account.username

    @property
    def key_id(self) -> RecordId | None:
        return self.key.id if self.key else None

    @property
    def expires(self) -> bool:
        """True for a request with an access token, or with an API key that has `expires_at`."""
        return self.key is None or self.key.expires_at is not None

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    @property
    def sees_only(self) -> str | None:
        """The only owner whose records the caller may see; None: the caller sees all records."""
        return None if self.is_admin else self.username

    def sees(self, owner: str) -> bool:
        return self.sees_only in (None, owner)

    def require(self, *scopes: Scope) -> None:
        """Raise Forbidden, which names the missing scopes, unless the caller has all these scopes."""
        if missing := sorted(set(scopes) - self.scopes):
            raise Forbidden(f"This token does not have the scope {' '.join(missing)}.")

    def sees_target(self, name: str) -> bool:
        return self.account.targets is None or name in self.account.targets

    def roots_among(self, configured: tuple[Path, ...]) -> tuple[Path, ...]:
        """Return the directories that the account may send from."""
        if self.account.roots is None:
            return configured
        return tuple(Path(root) for root in self.account.roots)

"""Request and response bodies of the routes for accounts and API keys."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import Path
from pydantic import BaseModel, Field, SecretStr, StringConstraints

from api.schemas import Body, FilePath, Length, TargetName, Whole
from gridhaul.transfer.access import Account, ApiKey, Caller, Scope

USERNAME = "^[a-z0-9][a-z0-9._-]{0,63}$"
Username = Annotated[str, StringConstraints(pattern=USERNAME)]
UsernameInPath = Annotated[str, Path(pattern=USERNAME)]
Scopes = Annotated[list[Annotated[Scope, Field(strict=False)]], Field(max_length=len(Scope))]
Password = Annotated[SecretStr, Field(min_length=1, max_length=256)]
RevokeKeys = Annotated[
    bool, Field(description="true: the new password also revokes all API keys of the account, in the same write")
]


class AccountSettings(Body):
    """The settings that an admin gives to an account.

    null means every root (`roots`), every target (`targets`), the server's own limit (`quota_bytes`,
    `max_open_files`), or no password (`password`).
    """

    scopes: Scopes | None = None
    password: Password | None = None
    roots: Annotated[list[FilePath], Field(max_length=100)] | None = Field(
        default=None, description="Directories that the account may send files from, at or beneath the server's roots"
    )
    targets: Annotated[list[TargetName], Field(max_length=1000)] | None = None
    quota_bytes: Length | None = Field(
        default=None,
        description="The most bytes that all files of the account together may have; deleted files do not count",
    )
    max_open_files: Length | None = Field(
        default=None, description="The most files of the account that may wait to be stored at once"
    )
    disabled: bool = False
    current_password: Password | None = Field(
        default=None,
        description="The password of the caller's account. A request with an access token, or with an API key that "
        "expires, needs it to make an account with a password, to change `password`, `scopes`, `roots` or `targets`, "
        "and to enable an account",
    )


class AccountChanges(AccountSettings):
    """Changes to an account. A member that the body leaves out keeps its value.

    null has the same meaning as when an account is made.
    """

    revoke_keys: RevokeKeys = False


class AccountBody(AccountSettings):
    username: Username
    scopes: Scopes


class PasswordBody(Body):
    current_password: Password
    new_password: Password
    revoke_keys: RevokeKeys = False


class AccountView(BaseModel):
    username: str
    scopes: list[Scope]
    roots: list[str] | None
    targets: list[str] | None
    quota_bytes: int | None
    used_bytes: int
    max_open_files: int | None
    has_password: bool
    disabled: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, account: Account) -> Self:
        return cls(
            username=account.username,
            scopes=list(account.scopes),
            roots=_listed(account.roots),
            targets=_listed(account.targets),
            quota_bytes=account.quota_bytes,
            used_bytes=account.used_bytes,
            max_open_files=account.max_open_files,
            has_password=account.password_hash is not None,
            disabled=account.disabled,
            created_at=account.created_at,
            updated_at=account.updated_at,
        )


class OwnAccountView(AccountView):
    granted_scopes: list[Scope] = Field(
        description="The scopes of this request: those of its API key or login that the account has, too"
    )

    @classmethod
    def of_caller(cls, caller: Caller) -> Self:
        granted = [scope for scope in caller.account.scopes if scope in caller.scopes]
        return cls(**dict(AccountView.of(caller.account)), granted_scopes=granted)


class AccountsView(BaseModel):
    accounts: list[AccountView]
    next_cursor: str | None = Field(description="Pass this as `cursor` to get the next accounts; null: no more follow")


class KeyBody(Body):
    name: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern="^[^\\x00-\\x1f\\x7f]+$")]
    scopes: Scopes | None = Field(
        default=None, description="Scopes of the key, among the account's; null: all scopes that the caller can give"
    )
    expires_in_days: Annotated[int, Field(ge=1, le=3650), Whole] | None = None
    account: Username | None = Field(
        default=None, description="The account that the key is for; null: the caller's. Any other needs the scope admin"
    )
    current_password: Password | None = Field(
        default=None, description="The password of the caller's account; a request with an access token needs it"
    )


class KeyView(BaseModel):
    key_id: str
    account: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey, account: str, /, **more: str) -> Self:
        return cls(
            key_id=key.id,
            account=account,
            name=key.name,
            scopes=list(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            **more,
        )


class NewKeyView(KeyView):
    key: str = Field(description="The API key. Only this answer shows the key; the server keeps only its digest")


class KeysView(BaseModel):
    keys: list[KeyView]


def _listed(values: tuple[str, ...] | None) -> list[str] | None:
    return None if values is None else list(values)

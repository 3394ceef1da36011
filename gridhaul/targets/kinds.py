"""The sections of `targets.toml`: one class for each kind of target says what a section holds, and makes the target."""

import base64
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

import httpx2
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gridhaul.process.settings import SettingsError, credential
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.http import HttpTarget
from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.webdav.move import DestinationForm, destination_bases
from gridhaul.targets.webdav.target import EtagDigest, WebDavTarget
from gridhaul.transfer.ports.targets import Target

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _web_address(value: str) -> str:
    try:
        url = httpx2.URL(value)
    except httpx2.InvalidURL:
        raise ValueError("is not a URL") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("must start with http:// or https:// and name a host")
    if url.userinfo:
        raise ValueError("must hold no credentials; use username and password, or token")
    if url.query or url.fragment or "?" in value or "#" in value:
        raise ValueError("must have no '?' and no '#'")
    return value


def _credential_source(value: object) -> object:
    """Check the form of the value here, because Pydantic's own message would not say which form is expected."""
    if isinstance(value, dict) and len(value) == 1 and set(value) <= {"env", "file"}:
        (place,) = value.values()
        if isinstance(place, str) and place:
            return value
    raise ValueError('must be { env = "NAME" } or { file = "path" }')


WebAddress = Annotated[str, AfterValidator(_web_address)]
NewClient = Callable[[], httpx2.AsyncClient]
CredentialSource = Annotated[dict[str, str], BeforeValidator(_credential_source)]


class Section(BaseModel, ABC):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @abstractmethod
    def maker(self, name: str, new_client: NewClient) -> Callable[[], Target]:
        """Return a function that makes the target. Raises SettingsError if a credential is missing or unusable."""


class DirectorySection(Section):
    kind: Literal["directory"]
    path: Annotated[Path, AfterValidator(_absolute)]
    keep_mode: bool = Field(False, strict=True)

    def maker(self, name: str, new_client: NewClient) -> Callable[[], Target]:
        return lambda: DirectoryTarget(name=name, path=self.path, keep_mode=self.keep_mode)


class _WebSection(Section):
    url: WebAddress
    username: str | None = Field(None, pattern=r"^[^:\x00-\x1f\x7f]+$")
    password: CredentialSource | None = None
    token: CredentialSource | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if self.token is not None and self.password is not None:
            raise ValueError("token and password exclude each other")
        return self

    def _authorization(self) -> str | None:
        """Return the value of the `Authorization` header; None without credentials. Raises SettingsError."""
        if self.token is not None:
            return f"Bearer {_secret('token', self.token)}"
        if self.password is not None:
            pair = f"{self.username}:{_secret('password', self.password)}"
            return f"Basic {base64.b64encode(pair.encode()).decode()}"
        return None

    def _sessions(self, new_client: NewClient) -> Callable[[], HttpSession]:
        authorization = self._authorization()
        return lambda: HttpSession(new_client(), url=self.url, authorization=authorization)


class WebDavSection(_WebSection):
    kind: Literal["webdav"]
    etag_digest: EtagDigest | None = None
    destination: DestinationForm | WebAddress = "auto"

    def maker(self, name: str, new_client: NewClient) -> Callable[[], Target]:
        session = self._sessions(new_client)
        bases = destination_bases(self.url.rstrip("/"), self.destination)
        return lambda: WebDavTarget(
            name=name, session=session(), username=self.username, etag_digest=self.etag_digest, destination_bases=bases
        )


class HttpSection(_WebSection):
    kind: Literal["http"]

    def maker(self, name: str, new_client: NewClient) -> Callable[[], Target]:
        session = self._sessions(new_client)
        return lambda: HttpTarget(name=name, session=session())


KINDS: dict[str, type[Section]] = {"directory": DirectorySection, "webdav": WebDavSection, "http": HttpSection}


def _secret(key: str, source: CredentialSource) -> str:
    """Return the credential. Raises SettingsError if it is missing, or does not fit into a header."""
    try:
        value = credential(source)
    except SettingsError as error:
        raise SettingsError(f"{key}: {error}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{key}: the file that the targets file names is not text") from None
    if not value or not value.isprintable() or (key == "token" and (not value.isascii() or " " in value)):
        raise SettingsError(f"{key}: is empty, or holds characters that it cannot have")
    return value

"""The common parts of the sections of `targets.toml`: addresses, credentials, and how a section becomes a target."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx2
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gridhaul.process.settings import SettingsError, credential
from gridhaul.transfer.ports.targets import Target

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def web_address(value: str) -> str:
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


WebAddress = Annotated[str, AfterValidator(web_address)]
NewClient = Callable[[], httpx2.AsyncClient]
CredentialSource = Annotated[dict[str, str], BeforeValidator(_credential_source)]


class Section(BaseModel, ABC):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @abstractmethod
    def maker(self, name: str, new_client: NewClient, *, answer_seconds: float) -> Callable[[], Target]:
        """Return a function that makes the target. Raises SettingsError if a credential is missing or unusable.

        A target that speaks HTTP gets its client by `new_client`, and any other may be silent for `answer_seconds`.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a fingerprint of the parts that decide what a probe of the target sees. Reads no credential."""


class StagedSection(Section):
    """A section of a kind whose targets have stages."""

    allow_overwrite_race: bool = Field(False, strict=True)


def secret(key: str, source: CredentialSource) -> str:
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

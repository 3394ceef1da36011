"""The sections of `targets.toml`: one class for each kind of target says what a section holds, and makes the target."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gridhaul.targets.directory import DirectoryTarget, directory_fingerprint
from gridhaul.targets.http import HttpTarget, http_fingerprint
from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.s3.section import S3Section
from gridhaul.targets.section import (
    CredentialSource,
    NewClient,
    Section,
    StagedSection,
    WebAddress,
    absolute,
    secret,
)
from gridhaul.targets.sftp.section import SftpSection
from gridhaul.targets.webdav.move import DestinationForm, destination_bases
from gridhaul.targets.webdav.target import EtagDigest, WebDavTarget, webdav_fingerprint
from gridhaul.transfer.ports.targets import Target


class DirectorySection(StagedSection):
    kind: Literal["directory"]
    path: Annotated[Path, AfterValidator(absolute)]
    keep_mode: bool = Field(False, strict=True)

    def maker(self, name: str, new_client: NewClient, *, answer_seconds: float) -> Callable[[], Target]:
        race = self.allow_overwrite_race
        return lambda: DirectoryTarget(name=name, path=self.path, keep_mode=self.keep_mode, allow_overwrite_race=race)

    def fingerprint(self) -> str:
        return directory_fingerprint(self.path)


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
            return f"Bearer {secret('token', self.token)}"
        if self.password is not None:
            pair = f"{self.username}:{secret('password', self.password)}"
            return f"Basic {base64.b64encode(pair.encode()).decode()}"
        return None

    def _sessions(self, new_client: NewClient) -> Callable[[], HttpSession]:
        authorization = self._authorization()
        return lambda: HttpSession(new_client(), url=self.url, authorization=authorization)


class WebDavSection(_WebSection, StagedSection):
    kind: Literal["webdav"]
    etag_digest: EtagDigest | None = None
    destination: DestinationForm | WebAddress = "auto"

    def maker(self, name: str, new_client: NewClient, *, answer_seconds: float) -> Callable[[], Target]:
        session = self._sessions(new_client)
        return lambda: WebDavTarget(
            name=name,
            session=session(),
            username=self.username,
            etag_digest=self.etag_digest,
            destination_bases=self._destination_bases(),
            allow_overwrite_race=self.allow_overwrite_race,
        )

    def fingerprint(self) -> str:
        return webdav_fingerprint(self.url, self.username, self._destination_bases())

    def _destination_bases(self) -> tuple[str, ...]:
        return destination_bases(self.url.rstrip("/"), self.destination)


class HttpSection(_WebSection):
    kind: Literal["http"]
    repr_digest: bool = Field(False, strict=True)

    def maker(self, name: str, new_client: NewClient, *, answer_seconds: float) -> Callable[[], Target]:
        session = self._sessions(new_client)
        return lambda: HttpTarget(name=name, session=session(), repr_digest=self.repr_digest)

    def fingerprint(self) -> str:
        return http_fingerprint(self.url)


KINDS: dict[str, type[Section]] = {
    "directory": DirectorySection,
    "webdav": WebDavSection,
    "http": HttpSection,
    "sftp": SftpSection,
    "s3": S3Section,
}

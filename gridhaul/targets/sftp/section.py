"""The section of an SFTP target in `targets.toml`. Nothing of `~/.ssh`, and no agent, takes part."""

import getpass
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

import asyncssh
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gridhaul.process.settings import SettingsError, credential
from gridhaul.targets.section import CredentialSource, NewClient, StagedSection, absolute, secret
from gridhaul.targets.sftp.connection import Connection, Login, login_options
from gridhaul.targets.sftp.target import SftpTarget
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.ports.targets import Target

AbsolutePath = Annotated[Path, AfterValidator(absolute)]


def folder(path: str) -> str:
    """Return the path of a folder at a server in its shortest form, without `/` at its end."""
    if not path or "\0" in path or ".." in path.split("/"):
        raise ValueError("must be a folder at the server, without '..'")
    return str(PurePosixPath(path))


class Server(BaseModel):
    """The way into one SSH server: its address, its host key, and the user's credentials."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(pattern=r"^[^\s/@\[\]\x00-\x1f\x7f]+$")
    port: int = Field(22, ge=1, le=65535, strict=True)
    username: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$")
    known_hosts: AbsolutePath | None = None
    host_key: str | None = None  # a line of a public key: its algorithm, and the key in Base64
    private_key: CredentialSource | None = None
    passphrase: CredentialSource | None = None
    certificate: AbsolutePath | None = None
    password: CredentialSource | None = None

    @model_validator(mode="after")
    def _what_belongs_together(self) -> Self:
        if (self.known_hosts is None) == (self.host_key is None):
            raise ValueError("exactly one of known_hosts and host_key is needed")
        if self.private_key is None and (self.passphrase is not None or self.certificate is not None):
            raise ValueError("passphrase and certificate belong to a private_key")
        return self

    @property
    def has_credentials(self) -> bool:
        return self.private_key is not None or self.password is not None

    def login(self) -> Login:
        """Read the keys and credentials that the section names. Raises SettingsError, which names the key."""
        _require_name_of_this_user()
        password = None if self.password is None else secret("password", self.password)
        with _named("username, private_key or certificate"):
            options = login_options(
                username=self.username, known_hosts=self._host_keys(), client_keys=self._keys(), password=password
            )
        return Login(host=self.host, port=self.port, options=options)

    def _host_keys(self) -> Any:
        """Return the host's keys in a form that asyncssh takes; never None, which would switch the check off."""
        if self.host_key is not None:
            with _named("host_key: is no public key, such as 'ssh-ed25519 AAAA…'"):
                return ([asyncssh.import_public_key(self.host_key)], [], [])
        with _named("known_hosts: cannot be read as a file of known hosts"):
            return asyncssh.import_known_hosts(_text("known_hosts", self.known_hosts))

    def _keys(self) -> list[Any] | None:
        """Return the private key, with its certificate if there is one; None if there is no key."""
        if self.private_key is None:
            return None
        passphrase = None if self.passphrase is None else secret("passphrase", self.passphrase)
        try:
            text = credential(self.private_key)
        except (SettingsError, UnicodeDecodeError) as error:
            raise SettingsError(f"private_key: {error}") from None
        with _named("private_key"):
            key = asyncssh.import_private_key(f"{text}\n", passphrase)
        if self.certificate is None:
            return [key]
        with _named("certificate"):
            return [(key, asyncssh.import_certificate(_text("certificate", self.certificate)))]


class Jump(Server):
    """A server through which the connection to the target leads."""


class SftpSection(StagedSection, Server):
    kind: Literal["sftp"]
    path: Annotated[str, AfterValidator(folder)]
    jump: Jump | None = None
    remote_command: bool = Field(False, strict=True)
    keep_mode: bool = Field(False, strict=True)

    @model_validator(mode="after")
    def _a_way_in(self) -> Self:
        if not self.has_credentials:
            raise ValueError("private_key or password is needed")
        if self.jump is not None and not self.jump.has_credentials and self.private_key is None:
            raise ValueError("jump needs a private_key or password, because the target has no private_key for it")
        return self

    def maker(self, name: str, new_client: NewClient, *, answer_seconds: float) -> Callable[[], Target]:
        login, jump = self.login(), self._jump_login()
        return lambda: SftpTarget(
            name=name,
            connection=Connection(login, jump=jump, answer_seconds=answer_seconds),
            url=self._url(),
            root=self.path,
            fingerprint=self.fingerprint(),
            remote_command=self.remote_command,
            keep_mode=self.keep_mode,
            allow_overwrite_race=self.allow_overwrite_race,
        )

    def fingerprint(self) -> str:
        return fingerprint("sftp", self.host, str(self.port), self.username, self.path, str(self.remote_command))

    def _jump_login(self) -> Login | None:
        """Return the way into the jump host. It gets the target's private key if it names no credential of its own.

        The target's password is never shown to the jump host.
        """
        if self.jump is None:
            return None
        keys = {"private_key": self.private_key, "passphrase": self.passphrase, "certificate": self.certificate}
        jump = self.jump if self.jump.has_credentials else self.jump.model_copy(update=keys)
        try:
            return jump.login()
        except SettingsError as error:
            raise SettingsError(f"jump.{error}") from None

    def _url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = self.path if self.path.startswith("/") else posixpath.normpath(f"/~/{self.path}")
        return f"sftp://{host}:{self.port}{quote(path).rstrip('/')}"


def _require_name_of_this_user() -> None:
    """Raise SettingsError if the system has no name for this process's user.

    asyncssh asks for the name whenever it makes options, although no option of these targets depends on it.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        raise SettingsError(
            "the system has no name for the user of this process, and connections by SSH need one; set LOGNAME to any "
            "name in the environment of the process"
        ) from None


def _text(key: str, path: Path | None) -> str:
    try:
        return "" if path is None else path.read_text()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{key}: the file {path} cannot be read") from None


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Raise SettingsError, which names the key, for a value that asyncssh cannot use."""
    try:
        yield
    except ValueError as error:
        raise SettingsError(f"{key}: {error}") from None

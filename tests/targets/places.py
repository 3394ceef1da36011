"""Places of every kind: folders of this machine, at servers of WebDAV, plain PUT and SFTP, and in buckets of S3."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from gridhaul.embedded.network import HOST, free_ports
from tests.servers.rclone_s3 import S3Server
from tests.servers.sshd import Keys, SshServer
from tests.targets.outside import Bucket, Folder
from tests.targets.place import Place

WRONG = "wr0ng-one"  # a credential that no server takes
_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class DirectoryPlace(Place):
    """A folder of this machine."""

    directory: Path
    unused: list[str] = field(default_factory=list, repr=False)  # folders that no test has used yet

    def inner(self) -> Self:
        return replace(self, directory=self.directory / self.unused.pop(), facts={})  # each folder has its own marker

    def settings(self) -> dict[str, Any]:
        return {"kind": "directory", "path": str(self.directory)}

    @property
    def outside(self) -> Folder:
        return Folder(self.directory)

    @property
    def down(self) -> dict[str, Any]:
        return {"path": str(self.directory / "gone")}


@dataclass(frozen=True, kw_only=True)
class WebPlace(Place):
    """A folder at a server of WebDAV, or of plain PUT."""

    directory: Path  # where the folder is on this machine
    unused: list[str] = field(default_factory=list, repr=False)  # folders that were made before the server started
    of: str  # the kind of the target
    url: str
    password: Path

    def inner(self) -> Self:
        folder = self.unused.pop()
        return replace(self, directory=self.directory / folder, url=f"{self.url}/{folder}")

    def settings(self) -> dict[str, Any]:
        login = {"username": "u", "password": {"file": str(self.password)}}
        return {"kind": self.of, "url": self.url, **login}

    @property
    def outside(self) -> Folder:
        return Folder(self.directory)

    @property
    def down(self) -> dict[str, Any]:
        return self.elsewhere(f"http://{HOST}:{free_ports(1)[0]}")

    def elsewhere(self, url: str) -> dict[str, Any]:
        return {"url": f"{url}{urlsplit(self.url).path}"}

    @property
    def wrong(self) -> dict[str, Any]:
        return {"password": _secret(self.password.parent, WRONG)}

    def facts_at(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**self.facts, "destination": settings["url"]} if "destination" in self.facts else self.facts


@dataclass(frozen=True, kw_only=True)
class SftpPlace(Place):
    """A folder at an SFTP server."""

    server: SshServer
    keys: Keys
    directory: Path  # where the folder is on this machine
    unused: list[str] = field(default_factory=list, repr=False)  # folders that were made before the server started
    path: str = "."  # of the folder, as the server's users find it

    def inner(self) -> Self:
        folder = self.unused.pop()
        return replace(self, directory=self.directory / folder, path=folder)

    def settings(self) -> dict[str, Any]:
        address = {"host": self.server.host, "port": self.server.port, "username": self.server.user}
        trust = {"host_key": self.server.host_key, "private_key": {"file": str(self.keys.user)}}
        return {"kind": "sftp", **address, "path": self.path, **trust}

    @property
    def outside(self) -> Folder:
        return Folder(self.directory)

    @property
    def down(self) -> dict[str, Any]:
        return {"port": free_ports(1)[0]}

    @property
    def wrong(self) -> dict[str, Any]:
        return {"private_key": {"file": str(self.keys.stranger)}}


@dataclass(frozen=True, kw_only=True)
class S3Place(Place):
    """A prefix in a bucket of an S3 server."""

    server: S3Server
    folder: Path  # for files with credentials
    prefix: str = ""

    def inner(self) -> Self:
        return replace(self, prefix=f"{self.prefix}{next(_numbers)}/")

    def settings(self) -> dict[str, Any]:
        server = self.server
        bucket = {"endpoint": server.url, "bucket": server.bucket, "prefix": self.prefix or None}
        return {"kind": "s3", **bucket, **self.credentials(server.access_key_id, server.secret_access_key)}

    def credentials(self, access_key_id: str, secret_access_key: str) -> dict[str, Any]:
        """Return the settings of a target with an access key."""
        return {
            "access_key_id": _secret(self.folder, access_key_id),
            "secret_access_key": _secret(self.folder, secret_access_key),
        }

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def outside(self) -> Bucket:
        return Bucket(self.server, self.prefix)

    @property
    def down(self) -> dict[str, Any]:
        return self.elsewhere(f"http://{HOST}:{free_ports(1)[0]}")

    def elsewhere(self, url: str) -> dict[str, Any]:
        return {"endpoint": url}

    @property
    def wrong(self) -> dict[str, Any]:
        return self.credentials(self.server.access_key_id, WRONG)


def _secret(folder: Path, value: str) -> dict[str, str]:
    """Return the source of a credential: a file in the folder."""
    source = folder / f"secret-{value}"
    source.write_text(value)
    return {"file": str(source)}

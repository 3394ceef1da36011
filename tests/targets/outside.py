"""The objects of a place as everybody else sees them, behind the target's back."""

import http
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote
from xml.etree import ElementTree as ET

from gridhaul.transfer.naming import MARKER
from tests.servers.rclone_s3 import S3Server


class Outside(Protocol):
    """The objects of one place, by their names."""

    def read(self, name: str) -> bytes | None:
        """Return the object's bytes; None if there is no object."""

    def write(self, name: str, data: bytes) -> None:
        """Make an object, or replace it."""

    def remove(self, name: str) -> None:
        """Remove an object that is there, and the folders that are empty then."""

    def names(self) -> set[str]:
        """Return the names of all objects, also of temporary ones, without the marker of a directory target."""


@dataclass(frozen=True)
class Folder:
    """Objects that are files in a folder of this machine."""

    top: Path

    def read(self, name: str) -> bytes | None:
        path = self.top / name
        return path.read_bytes() if path.is_file() else None

    def write(self, name: str, data: bytes) -> None:
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, name: str) -> None:
        path = self.top / name
        path.unlink()
        while (path := path.parent) != self.top and not any(path.iterdir()):
            path.rmdir()

    def names(self) -> set[str]:
        files = (path.relative_to(self.top).as_posix() for path in self.top.rglob("*") if not path.is_dir())
        return {*files} - {MARKER}


@dataclass(frozen=True)
class Bucket:
    """Objects of a bucket whose keys begin with the prefix."""

    server: S3Server
    prefix: str

    def read(self, name: str) -> bytes | None:
        answer = self.server.request("GET", self._path(name))
        return None if answer.status_code == http.HTTPStatus.NOT_FOUND else answer.raise_for_status().content

    def write(self, name: str, data: bytes) -> None:
        self.server.request("PUT", self._path(name), content=data).raise_for_status()

    def remove(self, name: str) -> None:
        self.server.request("DELETE", self._path(name)).raise_for_status()

    def names(self) -> set[str]:
        """Return the names on the first page of the listing, which has room for 1,000."""
        return {*self._listed("list-type=2", "Contents")}

    def begin_upload(self, name: str) -> None:
        """Begin a multipart upload that nobody ends."""
        self.server.request("POST", f"{self._path(name)}?uploads=").raise_for_status()

    def uploads(self) -> list[str]:
        """Return the names of the multipart uploads that nobody has ended, in their order."""
        return sorted(self._listed("uploads=", "Upload"))

    def _listed(self, listing: str, element: str) -> list[str]:
        query = f"{listing}&prefix={quote(self.prefix, safe='')}"
        page = self.server.request("GET", f"{self.server.bucket}?{query}").raise_for_status()
        keys = (found.text or "" for found in ET.fromstring(page.content).iterfind(f"{{*}}{element}/{{*}}Key"))  # noqa: S314
        return [key.removeprefix(self.prefix) for key in keys]

    def _path(self, name: str) -> str:
        return f"{self.server.bucket}/{quote(self.prefix + name, safe='/~')}"

"""The objects that a target's server holds, seen without the target: in its directory, or by requests of its own."""

import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from gridhaul.transfer.naming import MARKER
from tests.servers.rclone_s3 import S3Server


class Behind(Protocol):
    def objects(self) -> dict[str, bytes]:
        """Return all objects in the place by their names, temporary ones too."""

    def put(self, name: str, data: bytes) -> None:
        """Put an object of somebody else there."""

    def begin_upload(self, name: str) -> None:
        """Begin a multipart upload of somebody else, where there are such uploads."""

    def uploads(self) -> list[str]:
        """Return the names of the uploads that nobody has ended."""


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder of this machine."""

    directory: Path

    def objects(self) -> dict[str, bytes]:
        files = [path for path in self.directory.rglob("*") if path.is_file() and path.name != MARKER]
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in files}

    def put(self, name: str, data: bytes) -> None:
        (self.directory / name).write_bytes(data)

    def begin_upload(self, name: str) -> None: ...

    def uploads(self) -> list[str]:
        return []


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """The objects of an S3 server whose keys begin alike. Requests have botocore's signatures."""

    server: S3Server
    prefix: str

    def objects(self) -> dict[str, bytes]:
        keys = self._keys(f"?list-type=2&prefix={quote(self.prefix, safe='')}")
        return {key.removeprefix(self.prefix): self._ask("GET", f"/{quote(key)}") for key in keys}

    def put(self, name: str, data: bytes) -> None:
        self._ask("PUT", f"/{self.prefix}{name}", content=data)

    def begin_upload(self, name: str) -> None:
        self._ask("POST", f"/{self.prefix}{name}?uploads=")

    def uploads(self) -> list[str]:
        keys = self._keys(f"?prefix={quote(self.prefix, safe='')}&uploads=")
        return [key.removeprefix(self.prefix) for key in keys]

    def _keys(self, listing: str) -> list[str]:
        return [unescape(key) for key in re.findall("<Key>(.*?)</Key>", self._ask("GET", listing).decode())]

    def _ask(self, method: str, path: str, *, content: bytes = b"") -> bytes:
        answer = self.server.request(method, f"{self.server.bucket}{path}", content=content)
        assert answer.is_success, answer.text
        return answer.content

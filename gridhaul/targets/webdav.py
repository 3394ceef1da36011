"""A WebDAV server (RFC 4918): PUT under a temporary name, then MOVE."""

import http
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

from gridhaul.targets.http_session import GONE, STORED, Answer, HttpSession
from gridhaul.targets.multistatus import paths
from gridhaul.targets.names import split_name
from gridhaul.targets.remote_object import judge
from gridhaul.transfer.errors import NotFound, ObjectExists, TargetRefused, TargetUnavailable
from gridhaul.transfer.model import RemoteObject
from gridhaul.transfer.ports.targets import Blocks, Leaving

EtagDigest = Literal["sha-256"]

HAS_FOLDER = frozenset({http.HTTPStatus.CREATED, http.HTTPStatus.METHOD_NOT_ALLOWED})  # MKCOL: the folder exists now
NO_FOLDER = frozenset({http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT})  # PUT: a folder is missing
REMOVED = STORED | GONE | {http.HTTPStatus.ACCEPTED}
ASK_FOR_KIND = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/></prop></propfind>'
_SHA256_ETAG = re.compile(r'"([0-9a-f]{64})"')


class WebDavTarget:
    """See `transfer.ports.targets.Target`, `AtomicCommit` and `Listing`.

    DELETE of a folder, and MOVE with `Overwrite: T` onto a folder, remove all that the folder holds. So before each of
    them a PROPFIND asks what is under the name.
    Some servers (rclone) replace an object by removing it and then renaming: for a moment nothing is under the name.
    """

    def __init__(self, *, name: str, session: HttpSession, etag_digest: EtagDigest | None) -> None:
        self.name = name
        self._session = session
        self._etag_digest = etag_digest
        self._folders: set[str] = set()  # folders that this instance made or saw at the target

    def location(self, name: str) -> str:
        return self._session.url(name)

    async def inspect(self, name: str, *, length: int) -> RemoteObject | None:
        head = await self._session.head(name, length=length, headers={})
        sha256 = _etag_sha256(head) if self._etag_digest else None
        return await judge(self._session, name, head, length=length, sha256=sha256)

    async def put(self, name: str, blocks: Blocks, *, length: int, leaving: Leaving) -> None:
        await self._make_folders(name)
        answer = await self._session.send(name, blocks, length=length, leaving=leaving)
        if answer.status in NO_FOLDER and "/" in name:
            self._folders.clear()
            raise TargetUnavailable("The object's folder at the target was removed; the next attempt makes it again.")
        if answer.status not in STORED:
            raise answer.error()

    async def remove(self, name: str) -> None:
        if not await self._holds_object(name):
            return
        answer = await self._session.request("DELETE", self.location(name))
        if answer.status not in REMOVED:
            raise answer.error()

    async def commit(self, temporary_name: str, final_name: str) -> None:
        answer = await self._move(temporary_name, final_name, overwrite="F")
        if answer.status in STORED:
            return
        if answer.status == http.HTTPStatus.PRECONDITION_FAILED:
            raise ObjectExists("The target already holds an object under this name.")
        await self._require_object(temporary_name)  # rclone answers 403 if the temporary object is missing
        raise answer.error()

    async def replace(self, temporary_name: str, final_name: str) -> None:
        await self._require_object(temporary_name)  # without a temporary object rclone would only remove the final one
        await self._holds_object(final_name)  # raises if a folder has the name
        answer = await self._move(temporary_name, final_name, overwrite="T")
        if answer.status not in STORED:
            raise answer.error()

    async def names(self, folder: str) -> AsyncGenerator[str]:
        url = f"{self._session.folder_url(folder)}/"
        headers = {"Depth": "1", "Content-Type": "application/xml"}
        own = unquote(urlsplit(url).path).rstrip("/")
        async with aclosing(self._session.parts("PROPFIND", url, headers=headers, content=ASK_FOR_KIND)) as parts:
            async for path in paths(parts):
                if path.rstrip("/") != own:
                    yield path.rstrip("/").rpartition("/")[2]

    async def close(self) -> None:
        await self._session.close()

    async def _move(self, source: str, destination: str, *, overwrite: Literal["T", "F"]) -> Answer:
        await self._make_folders(destination)
        headers = {"Destination": self.location(destination), "Overwrite": overwrite}
        return await self._session.request("MOVE", self.location(source), headers=headers)

    async def _make_folders(self, name: str) -> None:
        """Make every folder of the name before the object is sent: its body can be sent only once."""
        folders, _ = split_name(name)
        for depth in range(1, len(folders) + 1):
            folder = "/".join(folders[:depth])
            if folder in self._folders:
                continue
            answer = await self._session.request("MKCOL", f"{self.location(folder)}/")
            if answer.status not in HAS_FOLDER:
                raise answer.error()
            self._folders.add(folder)

    async def _require_object(self, name: str) -> None:
        if not await self._holds_object(name):
            raise NotFound("The temporary object is no longer at the target.")

    async def _holds_object(self, name: str) -> bool:
        """Return whether the target has an object under the name. Raises TargetRefused if a folder has the name."""
        headers = {"Depth": "0", "Content-Type": "application/xml"}
        answer = await self._session.request("PROPFIND", self.location(name), headers=headers, content=ASK_FOR_KIND)
        if answer.status in GONE:
            return False
        if answer.status != http.HTTPStatus.MULTI_STATUS:
            raise answer.error()
        if _is_folder(answer.body):
            raise TargetRefused("The target has a folder under this name; choose another one.")
        return True


def _is_folder(multistatus: bytes) -> bool:
    try:
        tree = ET.fromstring(multistatus)  # noqa: S314 - at most 64 KiB, and expat bounds entity expansion
    except ET.ParseError:
        raise TargetRefused("The target does not speak WebDAV; check its kind and url.") from None
    return tree.find(".//{DAV:}resourcetype/{DAV:}collection") is not None


def _etag_sha256(head: Answer) -> str | None:
    found = _SHA256_ETAG.fullmatch(head.headers.get("ETag", ""))
    return found[1] if found else None

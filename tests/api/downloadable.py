"""Stored files of the operator for tests of downloads, and connections that ask for their bytes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.transfer.model import Content, File, RecordId
from gridhaul.transfer.states import FileState
from tests.api.service import TOKEN
from tests.asgi.logged_service import Logged
from tests.contracts.bytes_to_store import sealed
from tests.contracts.ports import Ports, claimed, new_file, registered


@dataclass(frozen=True, kw_only=True)
class Downloadable:
    """A stored file and its content."""

    file_id: RecordId
    content: Content

    @property
    def path(self) -> str:
        return f"/files/{self.file_id}/content"

    @property
    def etag(self) -> str:
        return f'"{self.content.sha256}"'


async def downloadable(ports: Ports, data: bytes, *, inline_limit_chunks: int, name: str = "run.h5") -> Downloadable:
    """Store the data as a file."""
    content = await sealed(ports.contents, ports.intake_with(inline_limit_chunks), data)
    file: File = await claimed(ports, await registered(ports, replace(new_file(length=len(data)), name=name)))
    await ports.files.finish(file.lease, FileState.STORED, sha256=content.sha256, content_id=content.id)
    return Downloadable(file_id=file.id, content=content)


async def flip_last_byte(database: Database, content: Content, n: int) -> None:
    """Flip the last byte of a stored chunk, in either layout."""
    key = ObjectId(content.id)
    inline = await database["inline"].find_one({"_id": key})
    if inline is not None:
        await database["inline"].update_one({"_id": key}, {"$set": {f"chunks.{n}": _flipped(inline["chunks"][n])}})
        return
    chunk = await database["fs.chunks"].find_one({"files_id": key, "n": n})
    assert chunk is not None
    await database["fs.chunks"].update_one({"_id": chunk["_id"]}, {"$set": {"data": _flipped(chunk["data"])}})


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@dataclass
class Raw:
    """A connection of the operator that receives exactly what the server sends."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def asking(cls, log: Logged, path: str, headers: Mapping[str, str]) -> "Raw":
        raw = cls(*await log.connect())
        fields = {"Host": "x", "Authorization": f"Bearer {TOKEN}", "Connection": "close", **headers}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        raw.writer.write("\r\n".join(lines).encode())
        return raw

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def rest(self) -> bytes:
        """Return the bytes until the server ends the connection."""
        return await self.reader.read()

    def leave(self) -> None:
        self.writer.transport.abort()

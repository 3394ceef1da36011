"""`Content-Range` of requests that send a file in chunks, and what the answers to them say."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from api.schemas import FileView
from api.uploads.parts import upload_of
from gridhaul.transfer.errors import Malformed
from gridhaul.transfer.model import File
from gridhaul.transfer.states import FileState

CHUNK = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
NO_BYTES = re.compile(r"bytes \*/([0-9]{1,18}|\*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class SentRange:
    """The bytes of a file that a request sends: `count` of them from number `first` on."""

    first: int | None  # None: the request sends none, and asks how many are stored
    count: int
    length: int | None  # bytes of the whole file; None: the client does not know it yet

    @classmethod
    def read(cls, field: str | None) -> Self | None:
        """Return what Content-Range (RFC 9110, 14.4) says; None without the field. Raises Malformed."""
        if field is None:
            return None
        if asks := NO_BYTES.fullmatch(field.strip()):
            return cls(first=None, count=0, length=_length(asks[1]))
        found = CHUNK.fullmatch(field.strip())
        if found is None:
            raise Malformed("Content-Range must be: bytes first-last/length, where the length may be *.")
        first, last, length = int(found[1]), int(found[2]), _length(found[3])
        if first > last or (length is not None and last >= length):
            raise Malformed("The range of Content-Range must lie within the file, and begin before it ends.")
        return cls(first=first, count=last - first + 1, length=length)


def _length(text: str) -> int | None:
    return None if text == "*" else int(text)


class ChunkedUploadView(BaseModel):
    """An upload in chunks, whose members have the names that clients of django-chunked-upload know."""

    upload_id: str = Field(description="For further chunks that are sent to `/uploads`")
    url: str = Field(description="For further chunks with PUT, and to complete the upload with POST")
    file_id: str
    filename: str
    offset: int = Field(description="Bytes that are durable; the next chunk begins here")
    length: int | None = Field(description="Bytes of the whole file; null: no request has named the length yet")
    expires: datetime = Field(description="When the upload expires unless a request continues it")
    state: FileState

    @classmethod
    def of(cls, file: File, *, url: str, offset: int) -> Self:
        upload = upload_of(file)
        return cls(
            upload_id=upload_id_of(file),
            url=url,
            file_id=file.id,
            filename=file.name,
            offset=offset,
            length=None if upload.length_deferred else file.length,
            expires=upload.expires_at,
            state=file.state,
        )


class CompletedUploadView(FileView):
    """The record of a file, after its upload through `/uploads` without tus."""

    upload_id: str = Field(description="As in the answers to chunks")
    url: str = Field(description="As in the answers to chunks; a repeat of the completing request is answered there")


def upload_id_of(file: File) -> str:
    return f"{file.id}{upload_of(file).token}"


def stored_range(offset: int) -> dict[str, str]:
    """Return the field `Range` of an answer: jQuery File Upload sends its next chunk from there on."""
    return {"Range": f"bytes=0-{offset - 1}"} if offset else {}

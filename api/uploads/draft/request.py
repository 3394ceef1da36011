"""Requests in the form of Resumable Uploads for HTTP (draft 12): the bytes they send, and what they say of the file."""

from dataclasses import dataclass
from typing import Self

from fastapi import Request

from api.named_digest import sha256_in_headers
from api.schemas import DeliverTo
from api.uploads.body import declared_length
from api.uploads.checksum import Checksum
from api.uploads.draft.fields import one_length, read_complete, whole_number_in
from api.uploads.ordered import destination_of, destinations_in_query
from api.uploads.tus.fields import Metadata
from gridhaul.outgoing.headers import read_content_digest, read_filename
from gridhaul.transfer.errors import Malformed


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The bytes of a file that a request sends, and what it says of them and of the whole file."""

    offset: int
    end: int | None  # where the bytes end; None: only the end of a chunked body will tell
    complete: bool  # True: the file ends there, too
    named_length: int | None  # of the whole file
    checksum: Checksum | None  # of these bytes
    sha256: str | None  # of the whole file

    @classmethod
    def read(cls, request: Request, *, offset: int) -> Self:
        """Return what the fields of the request say. Raises Malformed, DigestMismatch."""
        if "Content-Range" in request.headers:  # whoever ignored it would store a part as the whole (RFC 9110, 14.5)
            raise Malformed("Send no Content-Range with Upload-Complete; Upload-Offset says where the bytes begin.")
        fields, coming = request.headers, coming_bytes(request)
        digest = fields.get("Content-Digest")
        in_hex = read_content_digest(digest) if digest else None
        return cls(
            offset=offset,
            end=None if coming is None else offset + coming,
            complete=read_complete(fields),
            named_length=whole_number_in(fields.get("Upload-Length")),
            checksum=Checksum("sha256", bytes.fromhex(in_hex)) if in_hex else None,
            sha256=sha256_in_headers(fields),
        )

    def length_with(self, known: int | None) -> int | None:
        """Return the length of the file, as this request and the earlier ones name it. Raises InconsistentLength."""
        return one_length(known, self.named_length, self.end if self.complete else None, end=self.end)


def coming_bytes(request: Request) -> int | None:
    """Return the length of the request's body in bytes; None for a chunked body. Raises Malformed."""
    return None if "Transfer-Encoding" in request.headers else declared_length(request) or 0


def name_of(request: Request, metadata: Metadata) -> str:
    stated = read_filename(request.headers.get("Content-Disposition", ""))
    return stated or request.query_params.get("name") or metadata.values.get("filename") or "upload"


def destinations_of(request: Request, metadata: Metadata) -> list[DeliverTo]:
    """Return where the file is to be delivered: to each `target` of the query, else as the metadata say.

    Raises InvalidValue.
    """
    in_query = destinations_in_query(request)
    return in_query or destination_of(metadata.values.get("target"), metadata.values.get("object_name"))

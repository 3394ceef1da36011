"""The fields of tus 1.0.0: read from requests, written to answers."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from api.uploads.body import whole_number
from api.uploads.parts import upload_of
from gridhaul.outgoing.headers import write_http_date
from gridhaul.transfer.digest import BODY_ALGORITHMS
from gridhaul.transfer.errors import Malformed, TusVersionUnknown
from gridhaul.transfer.model import File

VERSION = "1.0.0"
EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "expiration",
    "checksum",
    "checksum-trailer",
    "termination",
    "concatenation",
    "concatenation-unfinished",
)
BYTES = "application/offset+octet-stream"
METADATA_MAX_BYTES = 8 << 10
ALWAYS = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}


def capability_fields(*, max_bytes: int | None) -> dict[str, str]:
    """Return the fields that say what this server can do."""
    known = {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Checksum-Algorithm": ",".join(BODY_ALGORITHMS),
    }
    return {**ALWAYS, **known, **({} if max_bytes is None else {"Tus-Max-Size": str(max_bytes)})}


def require_version(fields: Mapping[str, str]) -> None:
    """Raise TusVersionUnknown unless the request names this version."""
    if fields.get("Tus-Resumable") != VERSION:
        raise TusVersionUnknown(f"Tus-Resumable must be {VERSION}, the only version that this server knows.")


def read_length(fields: Mapping[str, str]) -> int | None:
    """Return the Upload-Length in bytes, or None for an upload that defers it. Raises Malformed."""
    length, deferred = fields.get("Upload-Length"), fields.get("Upload-Defer-Length")
    if (length is None) == (deferred is None) or deferred not in (None, "1"):
        raise Malformed("Give Upload-Length, or Upload-Defer-Length with the value 1, and not both.")
    return None if length is None else whole_number("Upload-Length", length)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """Upload-Metadata: as the client sent it, and the values that Gridhaul uses."""

    text: str
    values: Mapping[str, str]

    @property
    def filename(self) -> str:
        return self.values.get("filename") or self.values.get("name") or "upload"

    @classmethod
    def read(cls, text: str) -> "Metadata":
        """Return the metadata of a field: keys, each with a value in base64, joined by commas. Raises Malformed."""
        if len(text) > METADATA_MAX_BYTES:
            raise Malformed(f"Upload-Metadata may have at most {METADATA_MAX_BYTES} bytes.")
        values: dict[str, str] = {}
        for pair in filter(None, (pair.strip() for pair in text.split(","))):
            key, _, encoded = pair.partition(" ")
            if key in values:
                raise Malformed("Upload-Metadata has a key twice.")
            values[key] = _decoded(encoded)
        return cls(text=text, values=values)


def _decoded(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except ValueError:  # binascii.Error, UnicodeDecodeError, or a character that is not ASCII
        raise Malformed("Upload-Metadata must be keys, each followed by a value in base64 of UTF-8.") from None


def upload_fields(file: File, *, offset: int | None = None) -> dict[str, str]:
    """Return the fields that an answer has about an upload."""
    fields = {**ALWAYS, "Upload-Offset": str(file.stored_bytes if offset is None else offset)}
    return {**fields, "Upload-Expires": write_http_date(upload_of(file).expires_at)}


def head_fields(file: File, *, length: int | None) -> dict[str, str]:
    """Return the further fields of the answer to HEAD. `length` is None if it is not known."""
    upload = upload_of(file)
    size = {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    sent = {"Upload-Metadata": upload.metadata, "Upload-Concat": upload.concat}
    return size | {name: value for name, value in sent.items() if value}

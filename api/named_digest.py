"""The digests that a client names for all bytes of a file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gridhaul.outgoing.headers import read_repr_digest
from gridhaul.transfer.errors import DigestMismatch, Malformed


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedDigests:
    """The digests that a client has named, in lower-case hex; None: it named none of this kind."""

    sha256: str | None = None
    md5: str | None = None

    def __bool__(self) -> bool:
        return self != NamedDigests()


def sha256_in_hex(text: str | None) -> str | None:
    """Return the SHA-256 that the text has in hex, in lower case; None if there is no text. Raises Malformed."""
    if text is None:
        return None
    if not re.fullmatch("[0-9A-Fa-f]{64}", text):
        raise Malformed("A SHA-256 has 64 hex digits.")
    return text.lower()


def md5_in_hex(text: str | None) -> str | None:
    """Return the MD5 that the text has in hex, in lower case; None if there is no text. Raises Malformed."""
    if text is None:
        return None
    if not re.fullmatch("[0-9A-Fa-f]{32}", text):
        raise Malformed("An MD5 has 32 hex digits.")
    return text.lower()


def sha256_in_headers(headers: Mapping[str, str]) -> str | None:
    """Return the SHA-256 that the header fields of a request name, as `sha256_in_fields` does."""
    return sha256_in_fields(repr_digest=headers.get("Repr-Digest"), content_sha256=headers.get("Content-SHA256"))


def sha256_in_fields(*, repr_digest: str | None, content_sha256: str | None) -> str | None:
    """Return the SHA-256 that the fields Repr-Digest (RFC 9530) or Content-SHA256 name; None if neither does.

    Raises DigestMismatch if the two fields differ, and Malformed.
    """
    in_repr_digest = read_repr_digest(repr_digest) if repr_digest else None
    in_hex = sha256_in_hex(content_sha256)
    if in_repr_digest and in_hex and in_repr_digest != in_hex:
        raise DigestMismatch("Two digests are named for the file, and they differ; name only its SHA-256.")
    return in_repr_digest or in_hex

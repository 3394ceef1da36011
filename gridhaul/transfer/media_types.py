"""Media types of files, guessed from their names. The same name has the same type on every machine."""

import re
from collections.abc import Mapping
from functools import cache
from mimetypes import MimeTypes
from pathlib import PurePosixPath

UNKNOWN = "application/octet-stream"
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token of RFC 9110, 5.6.2
_FORM = re.compile(f"{_NAME}/{_NAME}")  # RFC 9110, 8.3.1, without parameters
# `mimetypes` has no type for these suffixes: it counts most of them as the encoding of what was compressed. But the
# stored bytes are the compressed ones.
_COMPRESSED: Mapping[str, str] = {
    ".gz": "application/gzip",  # RFC 6713
    ".tgz": "application/gzip",
    ".zst": "application/zstd",  # RFC 8878
    ".tzst": "application/zstd",
    ".bz2": "application/x-bzip2",
    ".tbz2": "application/x-bzip2",
    ".xz": "application/x-xz",
    ".txz": "application/x-xz",
    ".z": "application/x-compress",
}


def media_type(name: str) -> str:
    """Return the media type of the name's last suffix, as `type/subtype` in ASCII.

    A name without a suffix, or with an unknown one, has the type `application/octet-stream`.
    """
    return _by_suffix().get(PurePosixPath(name).suffix.lower(), UNKNOWN)


def media_type_or_unknown(text: str) -> str:
    """Return the text if it is `type/subtype` in ASCII, else `application/octet-stream`."""
    return text if _FORM.fullmatch(text) else UNKNOWN


@cache
def _by_suffix() -> Mapping[str, str]:
    """Return the types of Python's own table and of `_COMPRESSED`.

    `MimeTypes()` holds no types from the machine's own files. The functions of `mimetypes` would add those.
    """
    return {**MimeTypes().types_map[True], **_COMPRESSED}

"""HTTP headers that several packages read or write: digests (RFC 9651, RFC 9530), dates, `Retry-After`, file names."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from string import ascii_letters, digits
from urllib.parse import quote, unquote

from http_sfv.dictionary import Dictionary
from http_sfv.item import Item
from http_sfv.list import List

from gridhaul.transfer.digest import DIGEST_BYTES
from gridhaul.transfer.errors import DigestRequired, Malformed

# A parameter: its name, and a value in quotes or a token (RFC 9110, 5.6.6).
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')
_PLAIN = frozenset(ascii_letters + digits + " !#$&'()+,-.;=@[]^_`{}~")  # in `filename` without an escape (RFC 6266, D)


def write_chunk_digests(digests: Sequence[bytes]) -> str:
    """Return `:b64:, :b64:`, a list of byte sequences (RFC 9651), one for each chunk."""
    header = List()
    header.extend(Item(digest) for digest in digests)
    return str(header)


def read_chunk_digests(header: str | None) -> list[bytes]:
    """Return the chunks' digests, 32 bytes each. Raises DigestRequired, Malformed."""
    if not header:
        raise DigestRequired("Chunk-Digests is missing: a BLAKE3-256 digest for each chunk.")
    parsed = List()
    try:
        parsed.parse(header.encode())
    except ValueError:
        raise Malformed("Chunk-Digests must be a list of byte sequences (RFC 9651).") from None
    values = [getattr(item, "value", None) for item in parsed]
    digests = [value for value in values if isinstance(value, bytes) and len(value) == DIGEST_BYTES]
    if len(digests) != len(values):
        raise Malformed("Each chunk digest is a byte sequence of 32 bytes.")
    return digests


def write_repr_digest(sha256: str) -> str:
    """Return `sha-256=:b64:` (RFC 9530) for a SHA-256 in lower-case hex."""
    header = Dictionary()
    header["sha-256"] = Item(bytes.fromhex(sha256))
    return str(header)


def write_digest(sha256: str) -> str:
    """Return the obsolete `Digest` (RFC 3230) for a SHA-256 in lower-case hex."""
    return f"SHA-256={b64encode(bytes.fromhex(sha256)).decode()}"


def wants_sha256(header: str) -> bool:
    """Return whether the obsolete `Want-Digest` (RFC 3230) asks for SHA-256."""
    wanted = (one.replace(" ", "").lower().partition(";q=") for one in header.split(","))
    return any(algorithm == "sha-256" and (quality or "1").strip("0.") != "" for algorithm, _, quality in wanted)


def read_repr_digest(header: str) -> str | None:
    """Return the SHA-256 in lower-case hex; None if the header has only other algorithms. Raises Malformed."""
    return _read_sha256("Repr-Digest", header)


def read_content_digest(header: str) -> str | None:
    """Return what `read_repr_digest` returns, for the content of one message."""
    return _read_sha256("Content-Digest", header)


def _read_sha256(name: str, header: str) -> str | None:
    parsed = Dictionary()
    try:
        parsed.parse(header.encode())
    except ValueError:
        raise Malformed(f"{name} must be a dictionary of byte sequences (RFC 9530).") from None
    if "sha-256" not in parsed:
        return None
    value = getattr(parsed["sha-256"], "value", None)
    if not isinstance(value, bytes) or len(value) != DIGEST_BYTES:
        raise Malformed(f"sha-256 in {name} must be a byte sequence of 32 bytes.")
    return value.hex()


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Return `Retry-After` (RFC 9110, 10.2.3) in seconds; None if the header is missing or malformed.

    A date is measured from the response's own `Date`, else from `now`.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    until = read_http_date(value)
    if until is None:
        return None
    return max(0.0, (until - (date_of(headers) or now)).total_seconds())


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return `Date` (RFC 9110, 6.6.1); None if the header is missing or malformed."""
    return read_http_date(headers.get("Date", ""))


def read_http_date(value: str) -> datetime | None:
    """Return a date (RFC 9110, 5.6.7), in whole seconds; None if it is malformed."""
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # OverflowError: a year or an offset that no C integer holds
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def write_http_date(date: datetime) -> str:
    """Return a date (RFC 9110, 5.6.7) without its fraction of a second."""
    return format_datetime(date.astimezone(UTC), usegmt=True)


def write_attachment(name: str) -> str:
    """Return `Content-Disposition` (RFC 6266) of a file that a browser is to save under the last component of `name`.

    Programs that do not know `filename*` take `filename`, in which `_` stands for what is not safe in there.
    """
    last = name.rsplit("/", 1)[-1]
    plain = "".join(character if character in _PLAIN else "_" for character in last)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(last, safe='')}"


def read_filename(header: str) -> str | None:
    """Return the file name that `Content-Disposition` (RFC 6266) has; None if it has none. `filename*` comes first.

    Many programs send `filename` in UTF-8, and some in ISO-8859-1 as the RFC says.
    """
    values: dict[str, str] = {}
    for name, quoted, token in _PARAMETER.findall(header):
        values.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or token)
    charset, _, encoded = values.get("filename*", "").partition("'")
    if charset.lower() in ("utf-8", "iso-8859-1"):  # RFC 8187
        with suppress(UnicodeDecodeError):
            return unquote(encoded.partition("'")[2], encoding=charset, errors="strict")
    plain = values.get("filename")
    with suppress(UnicodeError):
        return plain and plain.encode("latin-1").decode()
    return plain

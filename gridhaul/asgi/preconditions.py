"""Decides by the conditions of a GET or HEAD request what the answer is (RFC 9110, 13.2.2). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from gridhaul.asgi.byte_ranges import ByteRange, requested_range
from gridhaul.outgoing.headers import read_http_date
from gridhaul.transfer.errors import ContentDiffers

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_TAGS = re.compile(rf"[ \t,]*(?:{_TAG.pattern}[ \t]*(?:,[ \t,]*|$))+")


class Complete(Enum):
    """Answers other than a range: the whole content, or none of it because the client has it."""

    WHOLE = auto()  # the whole content
    NOT_MODIFIED = auto()  # the client has the content already


Answer = Complete | ByteRange


@dataclass(frozen=True, kw_only=True, slots=True)
class Representation:
    """The content that the request is about."""

    etag: str  # strong, with its quotes
    modified_at: datetime | None  # in whole seconds; None: not known, so no condition on a date counts
    length: int  # bytes


def answer_to_head(headers: Mapping[str, str], held: Representation) -> Complete:
    """Return the answer. A range counts only for GET (RFC 9110, 14.2). Raises ContentDiffers."""
    _require_expected(headers, held)
    return Complete.NOT_MODIFIED if _client_is_current(headers, held) else Complete.WHOLE


def answer_to_get(headers: Mapping[str, str], held: Representation) -> Answer:
    """Return the answer. Raises ContentDiffers, RangeNotSatisfiable."""
    answer: Answer = answer_to_head(headers, held)
    wanted = headers.get("Range")
    if answer is Complete.WHOLE and wanted is not None and _if_range_holds(headers, held):
        answer = requested_range(wanted, held.length) or Complete.WHOLE
    return answer


def _require_expected(headers: Mapping[str, str], held: Representation) -> None:
    """Raise ContentDiffers if `If-Match` names another content, or else if `If-Unmodified-Since` is too early."""
    if (tags := headers.get("If-Match")) is not None:
        expected = _names(tags, held, weak_too=False)
    else:
        since = read_http_date(headers.get("If-Unmodified-Since", ""))
        expected = since is None or held.modified_at is None or held.modified_at <= since
    if not expected:
        raise ContentDiffers("The stored bytes are not those that are expected.")


def _client_is_current(headers: Mapping[str, str], held: Representation) -> bool:
    """Return whether the client has the content, as `If-None-Match` says, or else `If-Modified-Since`."""
    if (tags := headers.get("If-None-Match")) is not None:
        return _names(tags, held, weak_too=True)
    since = read_http_date(headers.get("If-Modified-Since", ""))
    return since is not None and held.modified_at is not None and held.modified_at <= since


def _if_range_holds(headers: Mapping[str, str], held: Representation) -> bool:
    """Return whether the client has parts of this very content, as `If-Range` says (RFC 9110, 13.1.5).

    A content is sealed once and never changes, so its date is a strong validator.
    """
    wanted = headers.get("If-Range")
    if wanted is None or wanted.strip() == held.etag:
        return True
    date = read_http_date(wanted)
    return date is not None and date == held.modified_at


def _names(tags: str, held: Representation, *, weak_too: bool) -> bool:
    """Return whether the field names the content. A malformed field names nothing."""
    if tags.strip() == "*":
        return True
    if not _TAGS.fullmatch(tags):
        return False
    return any(tag == held.etag and (weak_too or not weak) for weak, tag in _TAG.findall(tags))

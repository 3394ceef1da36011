"""The fields of Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload-12): structured fields of RFC 9651."""

from collections.abc import Mapping

from http_sfv.dictionary import Dictionary
from http_sfv.item import Item

from gridhaul.transfer.errors import GridhaulError, InconsistentLength, Malformed, OffsetMismatch, UploadCompleted
from gridhaul.transfer.media_types import UNKNOWN, media_type_or_unknown

PARTIAL = "application/partial-upload"
MOST = 999_999_999_999_999  # the greatest Integer of RFC 9651
MEDIA_TYPE_MOST = 255  # characters of both names (RFC 6838, 4.2)
SAYS_NOTHING = (UNKNOWN, PARTIAL, "application/x-www-form-urlencoded")  # curl sends the last for any bytes
PROBLEMS: Mapping[type[GridhaulError], tuple[str, str]] = {  # name and title of the registered problem types
    OffsetMismatch: ("mismatching-upload-offset", "Mismatching Upload Offset"),
    UploadCompleted: ("completed-upload", "Upload Is Completed"),
    InconsistentLength: ("inconsistent-upload-length", "Inconsistent Upload Length Values"),
}


def whole_number_in(field: str | None) -> int | None:
    """Return the number of bytes that the field has. None: it is to be ignored (sections 4.1.1 and 4.1.3)."""
    value = _value(field)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def truth_in(field: str | None) -> bool | None:
    """Return the Boolean that the field has. None: it is to be ignored (section 4.1.2)."""
    value = _value(field)
    return value if isinstance(value, bool) else None


def _value(field: str | None) -> object:
    item = Item()
    try:
        item.parse((field or "").encode())
    except ValueError:
        return None
    return item.value


def read_complete(fields: Mapping[str, str]) -> bool:
    """Return whether the file ends with the body of the request. Raises Malformed."""
    complete = truth_in(fields.get("Upload-Complete"))
    if complete is None:
        raise Malformed("Upload-Complete must be ?1 if the file ends with these bytes, else ?0.")
    return complete


def read_offset(fields: Mapping[str, str]) -> int:
    """Return the number of the body's first byte. Raises Malformed."""
    offset = whole_number_in(fields.get("Upload-Offset"))
    if offset is None:
        raise Malformed("Upload-Offset must be the number of the first byte.")
    return offset


def one_length(*named: int | None, end: int | None) -> int | None:
    """Return the length that the requests for an upload have named; None if they named none (section 4.1.3).

    `end` is where the request's body ends; None: that is not known. Raises InconsistentLength.
    """
    lengths = {length for length in named if length is not None}
    if len(lengths) > 1:
        raise InconsistentLength("Different lengths are named for one upload, and its length does not change.")
    length = next(iter(lengths), None)
    if length is not None and end is not None and end > length:
        raise InconsistentLength("More bytes are announced than the upload has left.")
    return length


def stated_media_type(field: str) -> str | None:
    """Return the media type that Content-Type states for the whole file; None if it says nothing about the file."""
    text = field.partition(";")[0].strip().lower()
    known = len(text) <= MEDIA_TYPE_MOST and media_type_or_unknown(text) not in SAYS_NOTHING
    return text if known else None


def state_fields(*, offset: int, complete: bool) -> dict[str, str]:
    """Return the fields that tell the state of an upload."""
    return {"Upload-Offset": str(offset), "Upload-Complete": str(Item(complete))}


def limit_field(*most_bytes: int | None, max_age_seconds: float | None = None) -> dict[str, str]:
    """Return Upload-Limit with the least of these limits in bytes; None: no limit but that of the field's numbers."""
    limits = Dictionary()
    limits["max-size"] = Item(min([MOST, *(most for most in most_bytes if most is not None)]))
    if max_age_seconds is not None:
        limits["max-age"] = Item(max(0, int(max_age_seconds)))
    return {"Upload-Limit": str(limits)}


def problem_members(fields: Mapping[str, str], error: GridhaulError) -> dict[str, object]:
    """Return the members that make a registered problem type of the error's problem document (section 7)."""
    name, title = PROBLEMS.get(type(error), ("", ""))
    if not name:
        return {}
    members: dict[str, object] = {"type": f"https://iana.org/assignments/http-problem-types#{name}", "title": title}
    if isinstance(error, OffsetMismatch):
        members |= {"expected-offset": error.offset, "provided-offset": whole_number_in(fields.get("Upload-Offset"))}
    return members

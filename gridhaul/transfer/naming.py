"""Names at a target: which names are allowed, and which names Gridhaul makes."""

import re
from pathlib import PurePosixPath

from gridhaul.transfer.errors import InvalidValue
from gridhaul.transfer.model import Lease, RecordId

OBJECT_NAME_MAX_BYTES = 1024
PART_MAX_BYTES = 255
SUFFIX_MAX_BYTES = 32  # a longer part after the last dot does not count as a suffix
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
RESERVED = ".gridhaul-"  # the beginning of every name that Gridhaul gives to an object of its own
MARKER = f"{RESERVED}target"  # the file at the top of a directory target by which the target is known again
_TEMPORARY = re.compile(r"\.gridhaul-([0-9a-f]{24})-(?:0|[1-9][0-9]*)(?:\.part|~.*)", re.DOTALL)


def has_control_characters(text: str) -> bool:
    """Return whether the text holds NUL, a line break or another control character."""
    return _CONTROL.search(text) is not None


def check_object_name(name: str) -> str:
    """Return the name. Raises InvalidValue unless it is allowed.

    A name has 1 to 1,024 bytes and no control characters. Each part has 1 to 255 bytes, is neither `.` nor `..`, and
    does not begin as Gridhaul's own names do.
    """
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise InvalidValue("The object name must be valid Unicode.") from None
    if not name or len(encoded) > OBJECT_NAME_MAX_BYTES:
        raise InvalidValue(f"The object name must have 1 to {OBJECT_NAME_MAX_BYTES} bytes.")
    if has_control_characters(name):
        raise InvalidValue("The object name must not hold control characters.")
    for part in name.split("/"):
        if part in ("", ".", "..") or len(part.encode()) > PART_MAX_BYTES:
            raise InvalidValue("The parts of an object name must not be empty, '.', '..' or over 255 bytes.")
        if part.startswith(RESERVED):
            raise InvalidValue("Names that begin with .gridhaul- are kept for Gridhaul's own objects.")
    return name


def temporary_name(final_name: str, lease: Lease) -> str:
    """Return the temporary object's name: in the folder of the final name, with the delivery's id and the fence."""
    return str(PurePosixPath(final_name).with_name(f".gridhaul-{lease.record_id}-{lease.fence}.part"))


def scratch_name(lease: Lease) -> str:
    """Return the beginning of the names that a probe writes at the target's top, for the delivery and the fence."""
    return f"{RESERVED}{lease.record_id}-{lease.fence}~"


def is_scratch(name: str) -> bool:
    """Return whether the name is one that `scratch_name` gives."""
    return is_temporary(name) and name.endswith("~")


def is_temporary(name: str) -> bool:
    """Return whether the name has a form that `temporary_name` gives, or begins as `scratch_name` says."""
    return _TEMPORARY.fullmatch(PurePosixPath(name).name) is not None


def delivery_of_temporary(name: str) -> RecordId | None:
    """Return the delivery whose temporary object has the name; None for any other name.

    `name` must have no folders.
    """
    found = _TEMPORARY.fullmatch(name)
    return RecordId(found[1]) if found else None


def renamed(object_name: str, number: int) -> str:
    """Return the `number`-th name to try under the policy `rename`: 0 → `run.h5`, 1 → `run (1).h5`."""
    if number == 0:
        return object_name
    path = PurePosixPath(object_name)
    suffix = path.suffix if len(path.suffix.encode()) <= SUFFIX_MAX_BYTES else ""
    mark = f" ({number}){suffix}"
    stem = path.name.removesuffix(suffix).encode()[: PART_MAX_BYTES - len(mark.encode())].decode(errors="ignore")
    return str(path.with_name(stem + mark))

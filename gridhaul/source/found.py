"""Decides whether a regular file that was found keeps the bounds, and gives its identity."""

import os
from dataclasses import dataclass

from gridhaul.source.entries import PassedOver
from gridhaul.source.opened import PATH_MAX_BYTES, TOO_MANY_BYTES, identity_of
from gridhaul.transfer.errors import InvalidValue
from gridhaul.transfer.model import Expected
from gridhaul.transfer.naming import OBJECT_NAME_MAX_BYTES, check_object_name
from gridhaul.transfer.origins import SourceIdentity
from gridhaul.transfer.skipping import SkipReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A regular file that the server may read."""

    path: str  # absolute
    name: str  # the file's name in the batch
    identity: SourceIdentity
    expected: Expected | None = None  # what a manifest says of the file; None: no manifest names it


@dataclass(frozen=True, kw_only=True, slots=True)
class Passed:
    """A file or folder that a walk looked at, and that is neither taken nor skipped. A folder may be entered next."""

    path: str  # as text that can be shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The bounds that a file must keep."""

    max_file_bytes: int | None
    longest_prefix: str  # the longest of the prefixes that come before the names at the targets; "": there is none


def accept(path: str, name: str, status: os.stat_result, limits: Limits) -> Found:
    """Return the file of this status. Raises PassedOver if its path, size or name is over a bound."""
    if len(path.encode()) > PATH_MAX_BYTES:
        raise PassedOver(SkipReason.PATH_TOO_LONG, f"The path has more than {PATH_MAX_BYTES} bytes.")
    _check_size(status.st_size, limits.max_file_bytes)
    _check_name(name, limits.longest_prefix)
    return Found(path=path, name=name, identity=identity_of(status))


def _check_size(size: int, most: int | None) -> None:
    if most is not None and size > most:
        raise PassedOver(SkipReason.TOO_LARGE, f"Files of more than {most} bytes are not taken here.")
    if size >= TOO_MANY_BYTES:
        raise PassedOver(SkipReason.TOO_LARGE, "Files of 2 PiB and more are not taken.")


def _check_name(name: str, prefix: str) -> None:
    try:
        check_object_name(name)
    except InvalidValue as error:
        raise PassedOver(SkipReason.NAME_REFUSED, error.detail) from None
    if prefix and len(f"{prefix}/{name}".encode()) > OBJECT_NAME_MAX_BYTES:
        detail = f"With its prefix, the name has more than {OBJECT_NAME_MAX_BYTES} bytes."
        raise PassedOver(SkipReason.NAME_REFUSED, detail)

"""Why a batch skips a path, and how a path is shown as text that leads back to the same bytes."""

import re
from enum import StrEnum

from gridhaul.transfer.errors import (
    NotARegularFile,
    PathInvalid,
    PathNotAllowed,
    SourceMissing,
    SourceTooLarge,
    SourceUnreadable,
)
from gridhaul.transfer.naming import has_control_characters


class SkipReason(StrEnum):
    """Why a path was found but not taken. A reason that is also an error of a single file has the error's code."""

    LINK = "link"  # links are not followed
    LINK_OUTSIDE = "link_outside"  # the link leads out of the root, or is absolute
    LINK_LOOP = "link_loop"  # the link leads to a folder above itself
    LINK_BROKEN = "link_broken"  # the link leads to nothing
    SPECIAL = NotARegularFile.code  # a socket, a FIFO or a device
    UNREADABLE = SourceUnreadable.code  # a file or a folder that the server may not read
    MISSING = SourceMissing.code  # it vanished before it was looked at
    NOT_ALLOWED = PathNotAllowed.code
    PATH_INVALID = PathInvalid.code
    TOO_LARGE = SourceTooLarge.code
    CONTROL_CHARACTERS = "control_characters"  # the name holds a line break or another control character
    NOT_UTF8 = "not_utf8"  # the name is not UTF-8
    PATH_TOO_LONG = "path_too_long"
    TOO_DEEP = "too_deep"  # a folder beneath too many others
    NAME_REFUSED = "name_refused"  # no object may have the name
    EMPTY_FOLDER = "empty_folder"
    NOT_BENEATH_BASE = "not_beneath_base"  # a path of a list that the names cannot be relative to
    NO_MATCH = "no_match"  # a pattern that nothing matches
    NAME_CLASH = "name_clash"  # another file of the batch has the same name
    NAME_EXISTS = "name_exists"  # something stands under the name at a target
    VANISHED = "vanished"  # it was delivered by an earlier batch, and is no longer there


_QUOTED = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))", re.DOTALL)


def shown(path: str) -> str:
    """Return the path as text that any terminal, JSON and MongoDB can hold; `path` is as `os.fsdecode` gives it.

    A path of printable UTF-8 is shown as it is. Any other path is shown as Bash quotes it, so that it can be told from
    a path that is printable and looks the same: `$'/srv/a\\x0ab'`.
    """
    return path if is_utf8(path) and not has_control_characters(path) else f"$'{_escaped(path)}'"


def path_of(text: str) -> str:
    """Return the path that `shown` has shown as the text."""
    if not text.startswith("$'"):
        return text
    inner = text[2:-1].encode("utf-8", "surrogateescape")
    return _QUOTED.sub(_original, inner).decode("utf-8", "surrogateescape")


def is_utf8(path: str) -> bool:
    """Return whether the path, as `os.fsdecode` gives it, is of valid UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(path: str) -> str:
    return "".join(_escaped_character(character) for character in path)


def _escaped_character(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if has_control_characters(character) or not is_utf8(character):
        return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
    return character


def _original(quoted: re.Match[bytes]) -> bytes:
    return bytes.fromhex(quoted[1].decode()) if quoted[1] else quoted[2]

"""Keys of objects: an object's name with the target's prefix before it."""

import re

from gridhaul.targets.names import split_name
from gridhaul.transfer.errors import TargetRefused
from gridhaul.transfer.naming import has_control_characters

KEY_MOST_BYTES = 1024
_ALWAYS_KEPT = re.compile(r"[A-Za-z0-9/._~-]*")


def key_of(prefix: str, name: str) -> str:
    """Return the key. Raises TargetRefused for a name that some servers merge with another one, or lose.

    `a//b`, `a/./b` and `a\\b` stand for `a/b` at some servers, and the body of an object `a/` is lost.
    """
    split_name(name)
    if "\\" in name or has_control_characters(name):
        raise TargetRefused("The object name must hold neither backslashes nor control characters at this target.")
    key = f"{prefix}{name}"
    if len(key.encode()) > KEY_MOST_BYTES:
        raise TargetRefused(
            f"The object name is too long: with the target's prefix it has over {KEY_MOST_BYTES} bytes."
        )
    return key


def is_plain(name: str) -> bool:
    """Return whether the name has only characters that stand for themselves in URLs."""
    return _ALWAYS_KEPT.fullmatch(name) is not None

"""Names of objects, as the targets use them."""

from urllib.parse import quote

from gridhaul.transfer.errors import TargetRefused


def split_name(name: str) -> tuple[tuple[str, ...], str]:
    """The folders and the last part. Raises TargetRefused if a part could lead out of the target.

    Names are checked where they come in; this is the second lock on the same door.
    """
    *folders, last = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in (*folders, last)):
        raise TargetRefused("The object name must be relative, without empty parts, '.' and '..'.")
    return tuple(folders), last


def quote_name(name: str) -> str:
    """The name as a URL's path (RFC 3986): every part percent-encoded, `/` between them."""
    folders, last = split_name(name)
    return "/".join(quote(part, safe="") for part in (*folders, last))

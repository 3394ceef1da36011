"""Names of objects, as the targets use them."""

from urllib.parse import quote

from gridhaul.transfer.errors import TargetRefused


def split_name(name: str) -> tuple[tuple[str, ...], str]:
    """Return the name's folders and its last part. Raises TargetRefused if a part could lead out of the target.

    The api already checks the names in requests; this second check stops a name that the api missed.
    """
    *folders, last = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in (*folders, last)):
        raise TargetRefused("The object name must be relative, without empty parts, '.' and '..'.")
    return tuple(folders), last


def quote_name(name: str) -> str:
    """Return the name as a URL's path (RFC 3986): every part percent-encoded, `/` between the parts."""
    folders, last = split_name(name)
    return "/".join(quote(part, safe="") for part in (*folders, last))

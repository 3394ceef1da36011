"""The order of a folder's entries in a listing: folders first, then the rest, each in the byte order of the names."""

import base64
import binascii
import os
from typing import NamedTuple, Self

from gridhaul.transfer.errors import InvalidValue


class Position(NamedTuple):
    """The position of an entry. It stays right when other entries come and go, or when its own entry goes."""

    behind_folders: bool
    name: bytes

    @property
    def text(self) -> str:
        """The name as `os.fsdecode` gives it."""
        return os.fsdecode(self.name)

    @property
    def cursor(self) -> str:
        """The position as text for a URL (base64url without padding, RFC 4648)."""
        return base64.urlsafe_b64encode(bytes([self.behind_folders]) + self.name).decode().rstrip("=")

    @classmethod
    def of_cursor(cls, cursor: str) -> Self:
        """Return the position whose `cursor` it is. Raises InvalidValue."""
        try:
            decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            decoded = b""
        if len(decoded) < 2 or decoded[0] > 1:
            raise InvalidValue("The cursor is not one that a page of a folder gave; leave it out for the first page.")
        return cls(behind_folders=bool(decoded[0]), name=decoded[1:])


BEGINNING = Position(behind_folders=False, name=b"")

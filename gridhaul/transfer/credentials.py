"""Random credentials, of which only a digest is kept: API keys and refresh tokens.

Their text is a prefix, the id under which the digest is found, and a secret of 256 bits.
"""

import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from gridhaul.transfer.digest import fingerprint, same_secret
from gridhaul.transfer.model import RecordId

SECRET_BYTES = 32


class CredentialKind(StrEnum):
    """The prefix, by which secrets that leaked are found."""

    API_KEY = "ghk"
    REFRESH_TOKEN = "ghr"  # noqa: S105 - no secret


_FORM = re.compile(r"(gh[kr])_([0-9a-f]{24})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    kind: CredentialKind
    id: RecordId
    secret: str = field(repr=False)

    @classmethod
    def new(cls, kind: CredentialKind) -> Self:
        return cls(kind=kind, id=RecordId(secrets.token_hex(12)), secret=secrets.token_urlsafe(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str, kind: CredentialKind) -> Self | None:
        """The credential, or None if the text is none of that kind."""
        found = _FORM.fullmatch(text)
        if found is None or found[1] != kind:
            return None
        return cls(kind=kind, id=RecordId(found[2]), secret=found[3])

    @property
    def text(self) -> str:
        """What its holder keeps."""
        return f"{self.kind}_{self.id}_{self.secret}"

    @property
    def digest(self) -> str:
        """What we keep. The secret is random, so a plain SHA-256 cannot be turned back."""
        return fingerprint(self.secret)

    def matches(self, digest: str) -> bool:
        """In constant time."""
        return same_secret(self.digest, digest)

    def renewed(self) -> Self:
        """The same id with a new secret."""
        return type(self)(kind=self.kind, id=self.id, secret=secrets.token_urlsafe(SECRET_BYTES))

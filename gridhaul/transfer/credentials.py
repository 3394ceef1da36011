"""Random credentials: API keys and refresh tokens. Only a digest of each is kept.

The text of a credential is a prefix, the id under which the digest is found, and a secret of 256 bits.
"""

import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from gridhaul.transfer.digest import fingerprint, keyed_digest, same_secret
from gridhaul.transfer.model import RecordId

SECRET_BYTES = 32


class CredentialKind(StrEnum):
    """The prefix of a credential's text. Scanners recognise leaked credentials by the prefix."""

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
        """Return the credential; None if the text is no credential of this kind."""
        found = _FORM.fullmatch(text)
        if found is None or found[1] != kind:
            return None
        return cls(kind=kind, id=RecordId(found[2]), secret=found[3])

    @property
    def text(self) -> str:
        """The text that the holder of the credential keeps."""
        return f"{self.kind}_{self.id}_{self.secret}"

    @property
    def digest(self) -> str:
        """The digest that the server keeps. A plain SHA-256 cannot be inverted here, because the secret is random."""
        return fingerprint(self.secret)

    def matches(self, digest: str) -> bool:
        """Return whether the digest is this credential's, in constant time."""
        return same_secret(self.digest, digest)

    def successor(self, service_secret: str) -> Self:
        """Return the credential that replaces this one: with the same id, and a secret derived from this one's text.

        Repeated calls return the same successor. Only a holder of `service_secret` can derive it.
        """
        derived = keyed_digest(self.text, key=service_secret)
        return type(self)(kind=self.kind, id=self.id, secret=urlsafe_b64encode(derived).rstrip(b"=").decode())

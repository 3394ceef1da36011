"""The checksum of one request's body: the extension `checksum` of tus 1.0.0."""

import base64
from collections.abc import AsyncIterator

from gridhaul.transfer.digest import BODY_ALGORITHMS, body_hash
from gridhaul.transfer.errors import ChecksumMismatch, Malformed


class Checksum:
    """The digest that the field Upload-Checksum names, and the one of the bytes that arrive."""

    def __init__(self, algorithm: str, expected: bytes) -> None:
        self._hash = body_hash(algorithm)
        self._expected = expected

    @classmethod
    def read(cls, field: str | None) -> "Checksum | None":
        """Return the checksum of the field, such as `sha1 Kq5s…=`; None without the field. Raises Malformed."""
        if field is None:
            return None
        algorithm, _, encoded = field.strip().partition(" ")
        if algorithm not in BODY_ALGORITHMS:
            raise Malformed(f"Upload-Checksum must name one of {', '.join(BODY_ALGORITHMS)}.")
        try:
            expected = base64.b64decode(encoded.strip(), validate=True)
        except ValueError:  # binascii.Error, or a character that is not ASCII
            raise Malformed("Upload-Checksum must be an algorithm and a digest in base64.") from None
        if len(expected) != body_hash(algorithm).digest_size:
            raise Malformed(f"The digest in Upload-Checksum has not the length of a digest of {algorithm}.")
        return cls(algorithm, expected)

    async def of(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the parts of the body, and hash them."""
        async for part in body:
            self._hash.update(part)
            yield part

    def require(self) -> None:
        """Raise ChecksumMismatch unless the bytes so far are those of the checksum."""
        if self._hash.digest() != self._expected:
            raise ChecksumMismatch("The bytes are not those of the checksum, and were discarded; send them again.")

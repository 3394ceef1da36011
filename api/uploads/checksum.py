"""The checksum of one request's body: the extensions `checksum` and `checksum-trailer` of tus 1.0.0."""

import base64
from collections.abc import AsyncIterator
from typing import Protocol

from fastapi import Request

from gridhaul.asgi.trailers import announced_trailers, trailers_of
from gridhaul.transfer.digest import BODY_ALGORITHMS, body_hash
from gridhaul.transfer.errors import ChecksumMismatch, Malformed

FIELD = "Upload-Checksum"


class BodyChecksum(Protocol):
    """The digest that a client names for a body, and the one of the bytes that arrive."""

    def of(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the parts of the body, and hash them."""

    def require(self) -> None:
        """Raise ChecksumMismatch unless the bytes so far are those of the checksum."""


def checksum_of(request: Request) -> BodyChecksum | None:
    """Return the checksum that the request names, or announces for its trailer; None: neither. Raises Malformed."""
    named = Checksum.read(request.headers.get(FIELD))
    if named is None and FIELD.lower() in announced_trailers(request.headers):
        return TrailingChecksum(request)
    return named


class Checksum:
    """The digest that the field Upload-Checksum names, and the one of the bytes that arrive."""

    def __init__(self, algorithm: str, expected: bytes) -> None:
        self._hash = body_hash(algorithm)
        self._expected = expected

    @classmethod
    def read(cls, field: str | None) -> "Checksum | None":
        """Return the checksum of the field, such as `sha1 Kq5s…=`; None without the field. Raises Malformed."""
        return None if field is None else cls(*_read(field))

    async def of(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the parts of the body, and hash them."""
        async for part in body:
            self._hash.update(part)
            yield part

    def require(self) -> None:
        """Raise ChecksumMismatch unless the bytes so far are those of the checksum."""
        if self._hash.digest() != self._expected:
            raise _mismatch()


class TrailingChecksum:
    """The checksum that follows the body in a trailer field, which the field Trailer has announced.

    The algorithm is known only after the body, so the body is hashed with every algorithm.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._hashes = {algorithm: body_hash(algorithm) for algorithm in BODY_ALGORITHMS}

    async def of(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the parts of the body, and hash them."""
        async for part in body:
            for each in self._hashes.values():
                each.update(part)
            yield part

    def require(self) -> None:
        """Raise ChecksumMismatch unless the body is that of the field, and Malformed if the field is not right."""
        field = trailers_of(self._request.scope).get(FIELD)
        if field is None:
            raise Malformed(f"{FIELD} was announced in Trailer and did not come; the bytes were discarded.")
        algorithm, expected = _read(field)
        if self._hashes[algorithm].digest() != expected:
            raise _mismatch()


async def without_trailing_checksum(request: Request, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the parts of the body. Raises Malformed if a checksum follows that was not announced.

    The bytes before it were not hashed, and its client must not take them for checked ones.
    """
    async for part in body:
        yield part
    if FIELD in trailers_of(request.scope):
        raise Malformed(f"Trailer must announce {FIELD}, so that the bytes are checked.")


def _read(field: str) -> tuple[str, bytes]:
    """Return algorithm and digest of a field such as `sha1 Kq5s…=`. Raises Malformed."""
    algorithm, _, encoded = field.strip().partition(" ")
    if algorithm not in BODY_ALGORITHMS:
        raise Malformed(f"{FIELD} must name one of {', '.join(BODY_ALGORITHMS)}.")
    try:
        digest = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:  # binascii.Error, or a character that is not ASCII
        raise Malformed(f"{FIELD} must be an algorithm and a digest in base64.") from None
    if len(digest) != body_hash(algorithm).digest_size:
        raise Malformed(f"The digest in {FIELD} has not the length of a digest of {algorithm}.")
    return algorithm, digest


def _mismatch() -> ChecksumMismatch:
    return ChecksumMismatch("The bytes are not those of the checksum, and were discarded; send them again.")

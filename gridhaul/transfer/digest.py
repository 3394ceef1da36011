"""Every hash of Gridhaul: BLAKE3-256 for a chunk and a manifest, SHA-256 for a content and for secrets."""

import hashlib
import hmac
from collections.abc import Iterable
from copy import copy
from typing import Protocol, Self

from blake3 import blake3

DIGEST_BYTES = 32


def chunk_digest(data: bytes) -> bytes:
    """Return the BLAKE3-256 digest (32 bytes) of a chunk's data."""
    return blake3(data).digest()


def manifest_root(pages: Iterable[bytes]) -> str:
    """Return the manifest's root: BLAKE3-256 over all chunk digests in order, as lower-case hex."""
    root = ManifestRoot()
    for page in pages:
        root.update(page)
    return root.hexdigest()


class ManifestRoot:
    """Computes what `manifest_root` returns, from digests that arrive piece by piece."""

    def __init__(self) -> None:
        self._hash = blake3()

    def update(self, digests: bytes) -> None:
        """Append digests, 32 bytes a chunk, in order."""
        self._hash.update(digests)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def copy(self) -> Self:
        copied = copy(self)
        copied.__dict__["_hash"] = self._hash.copy()
        return copied


class ContentDigest:
    """SHA-256 and length of a content whose bytes are appended in order."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.length_bytes = 0

    def update(self, data: bytes | memoryview) -> None:
        """Append data. Other threads run while the caller's thread hashes."""
        self._sha256.update(data)
        self.length_bytes += len(data)

    def hexdigest(self) -> str:
        """Return the SHA-256 of all data so far, as lower-case hex."""
        return self._sha256.hexdigest()

    def copy(self) -> Self:
        copied = copy(self)
        copied.__dict__["_sha256"] = self._sha256.copy()
        return copied


BODY_ALGORITHMS = ("sha1", "sha256", "md5")  # of checksums that clients may name for a body (tus 1.0.0)


class BodyHash(Protocol):
    """A checksum against damage on the way. It protects against no attacker: MD5 and SHA-1 are broken."""

    @property
    def digest_size(self) -> int: ...
    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> Self: ...


def body_hash(algorithm: str) -> BodyHash:
    """Return a new hash of one of BODY_ALGORITHMS."""
    return hashlib.new(algorithm, usedforsecurity=False)


def content_sha256(data: bytes) -> str:
    """Return the SHA-256 of the data, as lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def fingerprint(*parts: str) -> str:
    """Return a SHA-256 over the parts, as lower-case hex. Two different lists of parts never share a fingerprint."""
    total = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        total.update(len(encoded).to_bytes(8, "big") + encoded)
    return total.hexdigest()


def keyed_digest(text: str, *, key: str) -> bytes:
    """Return the HMAC-SHA256 (RFC 2104, 32 bytes) of the text, which nobody can compute without the key."""
    return hmac.digest(key.encode(), text.encode(), "sha256")


def same_secret(given: str, expected: str) -> bool:
    """Return whether two secrets are equal, in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())

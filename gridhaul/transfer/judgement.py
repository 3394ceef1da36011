"""What is wrong with one number of a content: its stored chunks compared with the manifest. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto

from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.findings import FindingCode


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredChunk:
    """A chunk as it lies in the database; `key` is what its layout knows it by."""

    key: object
    n: int
    data: bytes
    digest: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What the manifest says of a number. Without a trustworthy manifest the digest is None."""

    n: int
    length: int
    digest: bytes | None


class Cure(StrEnum):
    """How a fault is repaired."""

    FETCH = auto()  # from the source
    SET_DIGEST = auto()
    DROP_DOUBLES = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    code: FindingCode
    n: int
    detail: str
    cure: Cure
    key: object = None  # the document that stays, or whose digest field is set
    holds: bytes | None = None  # the digest of what lies there, where that is whole


def judge(expected: Expected, stored: Sequence[StoredChunk]) -> list[Fault]:
    """The faults of the number, none if all is well."""
    n = expected.n
    if not stored:
        return [Fault(code=FindingCode.CHUNK_MISSING, n=n, detail="No chunk is stored.", cure=Cure.FETCH)]
    hashes = [chunk_digest(chunk.data) for chunk in stored]
    right = [at for at, digest in enumerate(hashes) if _is_right(expected, stored[at], digest)]
    best = next((at for at in right if stored[at].digest == hashes[at]), right[0] if right else 0)
    faults = [] if len(stored) == 1 else [_doubled(n, len(stored), len(right), stored[best].key)]
    if not right:
        return [_wrong(expected, stored[best], hashes[best]), *faults]  # only beside a right one others are dropped
    if stored[best].digest != hashes[best]:
        detail = "The data is right, the digest beside it is not."
        code, key = FindingCode.DIGEST_FIELD_WRONG, stored[best].key
        faults.append(Fault(code=code, n=n, detail=detail, cure=Cure.SET_DIGEST, key=key))
    return faults


def _is_right(expected: Expected, chunk: StoredChunk, digest: bytes) -> bool:
    return len(chunk.data) == expected.length and digest == (expected.digest or chunk.digest)


def _doubled(n: int, stored: int, right: int, key: object) -> Fault:
    detail = f"{stored} documents are stored, {right} of them right."
    return Fault(code=FindingCode.CHUNK_DOUBLED, n=n, detail=detail, cure=Cure.DROP_DOUBLES, key=key)


def _wrong(expected: Expected, chunk: StoredChunk, digest: bytes) -> Fault:
    if digest == chunk.digest and expected.digest is not None:  # whole in itself: it may belong elsewhere
        detail = "Data and digest agree with each other, but not with the manifest."
        return Fault(code=FindingCode.CHUNK_CORRUPT, n=expected.n, detail=detail, cure=Cure.FETCH, holds=digest)
    if len(chunk.data) != expected.length:
        detail = f"It has {len(chunk.data)} bytes instead of {expected.length}."
    else:
        detail = "The data does not give the manifest's digest."
    return Fault(code=FindingCode.CHUNK_CORRUPT, n=expected.n, detail=detail, cure=Cure.FETCH)

"""Compares the chunks that are stored under one number of a content with the manifest. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto

from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.findings import FindingCode


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredChunk:
    """A chunk as the database holds it, right or wrong."""

    key: object  # `_id` of its GridFS document; None in the inline layout
    n: int
    data: bytes
    digest: bytes  # stored beside the data; damage may make the two disagree


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """The chunk that belongs under a number, according to the manifest."""

    n: int
    length: int  # bytes
    digest: bytes | None  # None: the manifest is damaged, and its digests are not known otherwise


class Cure(StrEnum):
    """The way to repair a fault."""

    FETCH = auto()  # read the chunk from the source, and store it
    SET_DIGEST = auto()  # put the manifest's digest beside the data
    DROP_DOUBLES = auto()  # remove all chunks under the number but a right one


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    code: FindingCode
    n: int
    detail: str
    cure: Cure
    key: object = None  # `key` of the chunk that stays (DROP_DOUBLES), or whose digest is set
    holds: bytes | None = None  # digest of the wrong data, if the digest beside it agrees; else None


def judge(expected: Expected, stored: Sequence[StoredChunk]) -> list[Fault]:
    """Return the faults of the number; none if it holds exactly one chunk, and the right one."""
    n = expected.n
    if not stored:
        return [Fault(code=FindingCode.CHUNK_MISSING, n=n, detail="No chunk is stored.", cure=Cure.FETCH)]
    hashes = [chunk_digest(chunk.data) for chunk in stored]
    right = [at for at, digest in enumerate(hashes) if _is_right(expected, stored[at], digest)]
    best = next((at for at in right if stored[at].digest == hashes[at]), right[0] if right else 0)
    faults = [] if len(stored) == 1 else [_doubled(n, len(stored), len(right), stored[best].key)]
    if not right:
        # The wrong chunk comes first: doubles can be dropped only beside a right chunk.
        return [_wrong(expected, stored[best], hashes[best]), *faults]
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
    if digest == chunk.digest and expected.digest is not None:  # the chunk may belong under another number
        detail = "Data and digest agree with each other, but not with the manifest."
        return Fault(code=FindingCode.CHUNK_CORRUPT, n=expected.n, detail=detail, cure=Cure.FETCH, holds=digest)
    if len(chunk.data) != expected.length:
        detail = f"It has {len(chunk.data)} bytes instead of {expected.length}."
    else:
        detail = "The data does not give the manifest's digest."
    return Fault(code=FindingCode.CHUNK_CORRUPT, n=expected.n, detail=detail, cure=Cure.FETCH)

"""A small model of one content, whose bytes are cheap to make."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from gridhaul.transfer.chunking import chunk_count, chunk_length
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.model import Content, RecordId, Seal, Segment
from gridhaul.transfer.states import ContentState
from tests.contracts.bytes_to_store import seal_of
from tests.contracts.ports import A_FILE

MOST_CHUNKS = 4
RIGHT, WRONG = 1, 2  # two kinds of bytes that a chunk may have


@dataclass(kw_only=True, eq=False)
class Modelled:
    """The model of one content."""

    id: RecordId
    length: int
    inline_limit: int
    fence: int = 1
    refs: set[RecordId] = field(default_factory=lambda: {A_FILE})
    acknowledged: dict[int, int] = field(default_factory=dict)  # the acknowledged kind of bytes, by number
    perhaps: dict[int, set[int]] = field(default_factory=dict)  # kinds that may be held, though not acknowledged
    sealed: Content | None = None
    swept: bool = False
    untidy: bool = False  # a late request or an unfinished delete may have left bytes

    @property
    def live(self) -> bool:
        return bool(self.refs)

    @property
    def count(self) -> int:
        return chunk_count(self.length)

    @property
    def kinds(self) -> tuple[int, ...]:
        """Return the kind of each chunk: the acknowledged one, else RIGHT."""
        return tuple(self.acknowledged.get(n, RIGHT) for n in range(self.count))

    @property
    def handle(self) -> Content:
        """Return the content as its writer holds it."""
        return Content(
            id=self.id,
            filename="",
            content_type="",
            length=self.length,
            state=ContentState.OPEN,
            fence=self.fence,
            refs=(),
        )

    def segment(self, kind: int, first: int, count: int) -> Segment:
        """Return up to `count` chunks of the kind from number `first` on; from 0 if the content is shorter."""
        first = first if first < self.count else 0
        wanted = range(first, min(first + count, self.count))
        chunks = tuple(_chunk(kind, n, chunk_length(self.length, n)) for n in wanted)
        return Segment(first=first, chunks=chunks, digests=tuple(_digest(chunk) for chunk in chunks))

    def conflicts(self, segment: Segment, kind: int) -> bool:
        """Return whether the segment differs from an acknowledged chunk."""
        return any(self.acknowledged.get(n, kind) != kind for n in numbers_of(segment))

    def may_conflict(self, segment: Segment, kind: int) -> bool:
        return any(self.perhaps.get(n, set()) - {kind} for n in numbers_of(segment))

    def accept(self, segment: Segment, kind: int) -> None:
        for n in numbers_of(segment):
            self.acknowledged[n] = kind
            self.perhaps.pop(n, None)

    def leave_open(self, segment: Segment, kind: int) -> None:
        """Note that the chunks of the segment that were not acknowledged may be held, or may not."""
        for n in numbers_of(segment):
            if n not in self.acknowledged:
                self.perhaps.setdefault(n, set()).add(kind)

    def entry(self, n: int, kind: int) -> bytes:
        """Return the entry of chunk `n` in the answer of `digests` when a chunk of this kind is held."""
        return b"\x01" + _digest(_chunk(kind, n, chunk_length(self.length, n)))


def other_kind(kind: int) -> int:
    return WRONG if kind == RIGHT else RIGHT


def numbers_of(segment: Segment) -> Iterable[int]:
    return range(segment.first, segment.first + len(segment.chunks))


@cache
def _chunk(kind: int, n: int, length: int) -> bytes:
    return bytes([kind * 16 + n]) * length


@cache
def _digest(chunk: bytes) -> bytes:
    return chunk_digest(chunk)


@cache
def whole(length: int, chunk_kinds: tuple[int, ...]) -> bytes:
    return b"".join(_chunk(kind, n, chunk_length(length, n)) for n, kind in enumerate(chunk_kinds))


@cache
def seal_for(length: int, chunk_kinds: tuple[int, ...]) -> Seal:
    return seal_of(whole(length, chunk_kinds))

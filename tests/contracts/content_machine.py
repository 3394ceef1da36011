"""The steps by which Hypothesis drives contents and their intake, in any order, beside a small model of them."""

from collections.abc import Coroutine
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, precondition, rule

from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import (
    ChunkConflict,
    ContentIncomplete,
    ContentSealed,
    ContentUnknown,
    DigestMismatch,
    LeaseLost,
    StaleFence,
    StateConflict,
)
from gridhaul.transfer.model import RecordId, Segment
from tests.contracts.bytes_to_store import opened, read, store
from tests.contracts.checked_contents import CheckedContents, unchanging
from tests.contracts.modelled_content import (
    MOST_CHUNKS,
    RIGHT,
    WRONG,
    Modelled,
    numbers_of,
    other_kind,
    seal_for,
    whole,
)
from tests.contracts.ports import A_FILE

INLINE_LIMITS = (0, 2)
LENGTHS = (0, 5, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 5, 3 * CHUNK_BYTES + 5)
AT_ONCE = 3  # contents; with more of them, too few steps would fall on each
FILES = (A_FILE, RecordId("b" * 24), RecordId("c" * 24))

kinds = st.sampled_from([RIGHT, RIGHT, RIGHT, WRONG])
numbers = st.integers(0, MOST_CHUNKS - 1)
counts = st.integers(1, MOST_CHUNKS)
files = st.sampled_from(FILES)


class ContentMachine(CheckedContents):
    """The state machine with all steps. A subclass sets `bench`."""

    contents: Bundle[Modelled] = Bundle("contents")

    @precondition(lambda self: len(self.all) < AT_ONCE)
    @rule(target=contents, length=st.sampled_from(LENGTHS), inline_limit=st.sampled_from(INLINE_LIMITS))
    def begin(self, length: int, inline_limit: int) -> Modelled:
        return self._begin(length, inline_limit)

    def _begin(self, length: int, inline_limit: int) -> Modelled:
        content = self.wait(opened(self.bench.ports.contents, length))
        one = Modelled(id=content.id, length=length, inline_limit=inline_limit)
        self.all.append(one)
        return one

    @precondition(lambda self: len(self.all) < AT_ONCE)
    @rule(target=contents, length=st.sampled_from(LENGTHS), inline_limit=st.sampled_from(INLINE_LIMITS))
    def begin_and_seal(self, length: int, inline_limit: int) -> Modelled:
        one = self._begin(length, inline_limit)
        self.put(one, RIGHT, 0, MOST_CHUNKS)
        self.seal(one)
        return one

    @precondition(lambda self: len(self.all) < AT_ONCE)
    @rule(target=contents, inline_limit=st.sampled_from(INLINE_LIMITS), first=numbers)
    def begin_and_put_one(self, inline_limit: int, first: int) -> Modelled:
        one = self._begin(2 * CHUNK_BYTES, inline_limit)
        self.put(one, RIGHT, first, 1)
        return one

    @precondition(lambda self: len(self.all) < AT_ONCE)
    @rule(target=contents)
    def begin_with_a_crash(self) -> Modelled:
        one = self._begin(2 * CHUNK_BYTES, max(INLINE_LIMITS))
        self.chunk_service_dies_before_it_notes_the_layout(one)
        return one

    @rule(one=contents)
    def worker_is_followed(self, one: Modelled) -> None:
        """Let a worker crash: the next one takes over with a higher fence, and the crashed worker is refused."""
        contents = self.bench.ports.contents
        if one.swept:
            return
        if not one.live:
            self.refused(opened(contents, one.length, fence=one.fence + 1, content_id=one.id), LeaseLost)
            return
        one.fence += 1
        self.wait(opened(contents, one.length, fence=one.fence, content_id=one.id))
        self.refused(opened(contents, one.length, fence=one.fence - 1, content_id=one.id), LeaseLost)

    @rule(one=contents, kind=kinds, first=numbers, count=counts)
    def put(self, one: Modelled, kind: int, first: int, count: int) -> None:
        if not one.count:
            return
        segment = one.segment(kind, first, count)
        putting = store(self.intake(one), one.handle, segment)
        if not one.live:
            self.refused(putting, ContentUnknown)
        elif one.sealed is not None:
            self.refused(putting, ContentSealed)
        elif one.conflicts(segment, kind):
            self.refused(putting, ChunkConflict)
            one.leave_open(segment, kind)
        else:
            self._put(one, putting, segment, kind)

    @rule(one=contents, count=counts)
    def put_other_bytes(self, one: Modelled, count: int) -> None:
        """Store other bytes from the first acknowledged chunk on."""
        for n, kind in sorted(one.acknowledged.items())[:1]:
            self.put(one, other_kind(kind), n, count)

    def _put(self, one: Modelled, putting: Coroutine[Any, Any, bool], segment: Segment, kind: int) -> None:
        repeated = set(numbers_of(segment)) <= set(one.acknowledged)
        try:
            new = self.wait(putting)
        except ChunkConflict:
            assert one.may_conflict(segment, kind)
            one.leave_open(segment, kind)
            return
        assert new is not repeated or set(numbers_of(segment)) & set(one.perhaps)
        one.accept(segment, kind)

    @rule(one=contents, kind=kinds, first=numbers, count=counts)
    def put_by_one_who_was_followed(self, one: Modelled, kind: int, first: int, count: int) -> None:
        if one.live and one.count and one.fence > 1:
            stale = Modelled(id=one.id, length=one.length, inline_limit=one.inline_limit, fence=one.fence - 1)
            self.refused(store(self.intake(one), stale.handle, one.segment(kind, first, count)), StaleFence)
            self.refused(
                self.intake(one).seal(one.id, fence=stale.fence, seal=seal_for(one.length, one.kinds)), StaleFence
            )

    @rule(one=contents)
    def chunk_service_dies_before_it_notes_the_layout(self, one: Modelled) -> None:
        content = self.wait(self.bench.ports.contents.get(one.id))
        if content is None or content.layout is not None or not one.live or one.perhaps:
            return
        if 0 < one.count <= one.inline_limit:
            segment = one.segment(RIGHT, 0, one.count)
            self.wait(self.bench.beneath.store_whole(content, segment))
            one.leave_open(segment, RIGHT)

    @rule(one=contents)
    def seal(self, one: Modelled) -> None:
        sealing = self.intake(one).seal(one.id, fence=one.fence, seal=seal_for(one.length, one.kinds))
        if not one.live:
            self.refused(sealing, ContentUnknown)
            return
        try:
            content = self.wait(sealing)
        except ContentIncomplete:
            assert len(one.acknowledged) < one.count, "no chunk is missing: all were acknowledged"
            return
        except DigestMismatch:
            assert one.perhaps, "the root is right: all held chunks are known"
            return
        assert set(range(one.count)) <= {*one.acknowledged, *one.perhaps}
        one.acknowledged = dict(enumerate(one.kinds))
        one.perhaps.clear()
        assert one.sealed is None or unchanging(one.sealed) == unchanging(content)
        one.sealed = content
        self.read_back(one)

    @rule(one=contents)
    def put_what_is_missing_and_seal(self, one: Modelled) -> None:
        for n in sorted(set(range(one.count)) - set(one.acknowledged)):
            self.put(one, RIGHT, n, 1)
        self.seal(one)

    @rule(one=contents)
    def seal_as_something_else(self, one: Modelled) -> None:
        if not one.live or not one.count:
            return
        other = (other_kind(one.kinds[0]), *one.kinds[1:])
        if one.sealed is None and any(n not in one.acknowledged for n in range(one.count)):
            return  # a chunk whose store was not acknowledged may have the bytes of the other kind
        sealing = self.intake(one).seal(one.id, fence=one.fence, seal=seal_for(one.length, other))
        self.refused(sealing, ContentSealed if one.sealed else DigestMismatch)

    @rule(one=contents, file_id=files)
    def share(self, one: Modelled, file_id: RecordId) -> None:
        if one.live and file_id not in one.refs:
            self.wait(self.bench.beneath.add_ref(one.handle, file_id))
            one.refs.add(file_id)

    @rule(one=contents, file_id=files)
    def drop(self, one: Modelled, file_id: RecordId) -> None:
        self.wait(self.bench.ports.contents.drop_ref(one.id, file_id))
        one.refs.discard(file_id)
        if one.swept:  # the drop makes a record that forbids the content, until the next sweep
            one.swept, one.fence, one.sealed = False, 0, None
        if not one.live and not one.swept:
            one.untidy = False
            assert self.wait(self.bench.beneath.remains(one.id)) == {"record"}

    @rule(one=contents)
    def delete_is_cut_short(self, one: Modelled) -> None:
        if one.live:
            self.wait(self.bench.beneath.begin_delete(one.handle))
            one.refs.clear()
            one.untidy = True

    @rule(one=contents, kind=kinds, first=numbers, count=counts)
    def segment_comes_late(self, one: Modelled, kind: int, first: int, count: int) -> None:
        """Store a segment of a deleted content, as if the segment was checked before the delete."""
        if not one.live and not one.swept and one.count and not one.untidy:
            self.wait(self.bench.beneath.store_late(one.handle, one.segment(kind, first, count)))
            one.untidy = True

    @rule(one=contents)
    def seal_comes_late(self, one: Modelled) -> None:
        if not one.live and not one.swept and one.count:
            page = b"".join(one.segment(RIGHT, 0, one.count).digests)
            self.wait(self.bench.beneath.seal_late(one.handle, seal_for(one.length, one.kinds), page))
            one.untidy = True

    @rule(one=contents)
    def sweep(self, one: Modelled) -> None:
        self.wait(self.bench.ports.contents.sweep(one.id))
        if not one.live:
            one.swept, one.untidy = True, False

    @rule(one=contents)
    def read_back(self, one: Modelled) -> None:
        content = self.wait(self.bench.ports.contents.get(one.id))
        if one.live and one.sealed is not None:
            assert content is not None
            assert self.wait(read(self.bench.ports.contents, content)) == whole(one.length, one.kinds)
        elif content is not None:
            self.refused(read(self.bench.ports.contents, content), StateConflict)

    def teardown(self) -> None:
        for one in self.all:
            self.read_back(one)
            for file_id in FILES:
                self.drop(one, file_id)
            self.sweep(one)
        self.nothing_is_left_of_what_was_swept()

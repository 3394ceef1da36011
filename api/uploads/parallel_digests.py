"""Digests of parallel uploads: chunks that arrive nearly in order are hashed in their order, and not read again."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

from api.uploads.memory import UploadMemory
from api.uploads.running_digests import RunningDigest
from gridhaul.process.threads import in_thread
from gridhaul.transfer.model import RecordId, Segment

UPLOADS_MOST = 10_000
AHEAD_CHUNKS = 24  # how many chunks may wait for an earlier one, in one upload


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    segment: Segment
    kept_chunks: int  # chunks whose memory the state holds; 0: the request holds it until the segment is hashed


class _State:
    def __init__(self) -> None:
        self.digest = RunningDigest()
        self.next = 0  # the number of the chunk that is hashed next
        self.waiting: dict[int, _Waiting] = {}
        self.turn = asyncio.Lock()

    @property
    def kept_chunks(self) -> int:
        return sum(one.kept_chunks for one in self.waiting.values())


class ParallelDigests:
    """The states of one process.

    An upload whose chunks come too far out of order loses its state. So does one whose chunks wait, when memory is
    short: nobody may ever send the chunk that they wait for.
    """

    def __init__(self, memory: UploadMemory) -> None:
        self._memory = memory
        memory.reclaim = self._forget_one_that_waits
        self._states: OrderedDict[RecordId, _State] = OrderedDict()

    def begin(self, file_id: RecordId) -> None:
        """Begin with an upload of which no chunk is stored."""
        self._states[file_id] = _State()
        if len(self._states) > UPLOADS_MOST:
            self.forget(next(iter(self._states)))

    async def add(self, file_id: RecordId, segment: Segment) -> None:
        """Hash a segment that is stored, or keep it until it is its turn. The caller holds memory for it meanwhile."""
        state = self._states.get(file_id)
        if state is None or segment.first < state.next or segment.first in state.waiting:
            return
        if segment.first == state.next:
            state.waiting[segment.first] = _Waiting(segment=segment, kept_chunks=0)
            await self._hash_in_order(state)
        elif await self._may_keep(state, len(segment.chunks)):
            state.waiting[segment.first] = _Waiting(segment=segment, kept_chunks=len(segment.chunks))
        else:
            self.forget(file_id)

    async def _hash_in_order(self, state: _State) -> None:
        async with state.turn:
            while (following := state.waiting.pop(state.next, None)) is not None:
                state.next += len(following.segment.chunks)
                try:
                    await in_thread(partial(_hash, state.digest, following.segment))
                finally:
                    self._memory.free_chunks(following.kept_chunks)

    async def _may_keep(self, state: _State, chunks: int) -> bool:
        """Take the memory for chunks that wait, unless too many wait, or memory is short."""
        return state.kept_chunks + chunks <= AHEAD_CHUNKS and await self._memory.take_free_chunks(chunks)

    def take(self, file_id: RecordId) -> RunningDigest | None:
        """Return the digest of all chunks so far, and forget it; None if this process does not have it."""
        state = self._states.get(file_id)
        self.forget(file_id)
        return state.digest if state is not None else None

    def forget(self, file_id: RecordId) -> None:
        state = self._states.pop(file_id, None)
        if state is not None:
            self._memory.free_chunks(state.kept_chunks)
            state.waiting.clear()

    def _forget_one_that_waits(self) -> None:
        oldest = next((file_id for file_id, state in self._states.items() if state.kept_chunks), None)
        if oldest is not None:
            self.forget(oldest)


def _hash(digest: RunningDigest, segment: Segment) -> None:
    for chunk, chunk_digest in zip(segment.chunks, segment.digests, strict=True):
        digest.update(chunk, (chunk_digest,))

"""Digests of parallel uploads: chunks that arrive nearly in order are hashed in their order, and not read again."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial

from api.uploads.memory import UploadMemory
from api.uploads.running_digests import RunningDigest
from gridhaul.process.threads import in_thread
from gridhaul.transfer.model import RecordId, Segment

UPLOADS_MOST = 10_000
AHEAD_CHUNKS = 24  # how many chunks are kept that wait for an earlier one, in one upload
TURN_SECONDS = 5.0  # how long a request waits for its turn


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    segment: Segment
    kept_chunks: int  # chunks whose memory the state holds; 0: the request holds it until the segment is hashed
    is_over: asyncio.Event = field(default_factory=asyncio.Event)  # set: the segment was hashed, or is not needed


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

    Chunks that come before their turn are kept while there is memory. When there is none, their requests wait until the
    earlier chunks were hashed, which keeps the client from running further ahead. An upload loses its state if that
    takes too long, or if other uploads need the memory: nobody may ever send the chunk that the others wait for.
    """

    def __init__(self, memory: UploadMemory, *, turn_seconds: float = TURN_SECONDS) -> None:
        self._memory = memory
        self._turn_seconds = turn_seconds
        memory.reclaim = self._forget_one_that_waits
        self._states: OrderedDict[RecordId, _State] = OrderedDict()

    def begin(self, file_id: RecordId) -> None:
        """Begin with an upload of which no chunk is stored."""
        self.forget(file_id)
        self._states[file_id] = _State()
        if len(self._states) > UPLOADS_MOST:
            self.forget(next(iter(self._states)))

    async def add(self, file_id: RecordId, segment: Segment) -> None:
        """Hash a segment that is stored, or keep it until it is its turn. The caller holds memory for it meanwhile."""
        state = self._states.get(file_id)
        if state is None or segment.first < state.next or segment.first in state.waiting:
            return
        if segment.first != state.next and await self._may_keep(state, len(segment.chunks)):
            state.waiting[segment.first] = _Waiting(segment=segment, kept_chunks=len(segment.chunks))
            return
        state.waiting[segment.first] = waiting = _Waiting(segment=segment, kept_chunks=0)
        await self._hash_in_order(state)
        try:
            async with asyncio.timeout(self._turn_seconds):
                await waiting.is_over.wait()
        except TimeoutError:
            self.forget(file_id)

    async def _hash_in_order(self, state: _State) -> None:
        async with state.turn:
            while (following := state.waiting.pop(state.next, None)) is not None:
                state.next += len(following.segment.chunks)
                try:
                    await in_thread(partial(_hash, state.digest, following.segment))
                finally:
                    self._memory.free_chunks(following.kept_chunks)
                    following.is_over.set()

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
            for waiting in state.waiting.values():
                waiting.is_over.set()
            state.waiting.clear()

    def _forget_one_that_waits(self) -> None:
        oldest = next((file_id for file_id, state in self._states.items() if state.kept_chunks), None)
        if oldest is not None:
            self.forget(oldest)


def _hash(digest: RunningDigest, segment: Segment) -> None:
    for chunk, chunk_digest in zip(segment.chunks, segment.digests, strict=True):
        digest.update(chunk, (chunk_digest,))

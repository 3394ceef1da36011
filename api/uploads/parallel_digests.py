"""Digests of parallel uploads: chunks that arrive nearly in order are hashed in their order, and not read again."""

import asyncio
from collections import OrderedDict

from api.uploads.memory import UploadMemory
from api.uploads.running_digests import RunningDigest
from gridhaul.transfer.model import RecordId, Segment

UPLOADS_MOST = 10_000
AHEAD_CHUNKS = 24  # how many chunks may wait for an earlier one, in one upload


class _State:
    def __init__(self) -> None:
        self.digest = RunningDigest()
        self.next = 0  # the number of the chunk that is hashed next
        self.waiting: dict[int, Segment] = {}
        self.turn = asyncio.Lock()

    @property
    def waiting_chunks(self) -> int:
        return sum(len(segment.chunks) for segment in self.waiting.values())


class ParallelDigests:
    """The states of one process. An upload whose chunks come too far out of order loses its state."""

    def __init__(self, memory: UploadMemory) -> None:
        self._memory = memory
        self._states: OrderedDict[RecordId, _State] = OrderedDict()

    def begin(self, file_id: RecordId) -> None:
        """Begin with an upload of which no chunk is stored."""
        self._states[file_id] = _State()
        if len(self._states) > UPLOADS_MOST:
            self.forget(next(iter(self._states)))

    async def add(self, file_id: RecordId, segment: Segment) -> None:
        """Hash a segment that is stored, or keep it until it is its turn. Takes over the memory of its chunks."""
        state = self._states.get(file_id)
        if state is None or segment.first < state.next or segment.first in state.waiting:
            self._memory.free_chunks(len(segment.chunks))
            return
        state.waiting[segment.first] = segment
        async with state.turn:
            while (following := state.waiting.pop(state.next, None)) is not None:
                state.next += len(following.chunks)
                await asyncio.to_thread(_hash, state.digest, following)
                self._memory.free_chunks(len(following.chunks))
        if state.waiting and (state.waiting_chunks > AHEAD_CHUNKS or self._memory.is_short):
            self.forget(file_id)

    def take(self, file_id: RecordId) -> RunningDigest | None:
        """Return the digest of all chunks so far, and forget it; None if this process does not have it."""
        state = self._states.get(file_id)
        self.forget(file_id)
        return state.digest if state is not None else None

    def forget(self, file_id: RecordId) -> None:
        state = self._states.pop(file_id, None)
        if state is not None:
            self._memory.free_chunks(state.waiting_chunks)
            state.waiting.clear()


def _hash(digest: RunningDigest, segment: Segment) -> None:
    for chunk, chunk_digest in zip(segment.chunks, segment.digests, strict=True):
        digest.update(chunk, (chunk_digest,))

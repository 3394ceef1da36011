"""The counts of open batches, made when somebody looks: counting a batch takes at most a twentieth of the time."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from gridhaul.transfer.batch_counts import count_batch
from gridhaul.transfer.batches import OPEN_BATCH, Batch, Counts
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.batches import BatchRegistry, Members, SkippedPaths

REST = 19  # a count is shown for at least this many times as long as it took to make
REST_SECONDS_LEAST = 0.5
BATCHES_KNOWN = 1000


@dataclass(slots=True)
class _Known:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    counts: Counts | None = None
    good_until: float = 0.0  # by the monotonic clock


class BatchCounts:
    """Counts the members of batches. Requests for one batch at the same moment share one count."""

    def __init__(self, records: BatchRegistry, members: Members, skipped: SkippedPaths) -> None:
        self._records = records
        self._members = members
        self._skipped = skipped
        self._known: OrderedDict[RecordId, _Known] = OrderedDict()

    async def counted(self, batch: Batch) -> Batch:
        """Return the batch with counts that are fresh enough; those of a batch that is over do not change any more."""
        if batch.state not in OPEN_BATCH and batch.following is None and batch.counts is not None:
            return batch
        known = self._known_of(batch.id)
        async with known.lock:
            if known.counts is None or time.monotonic() >= known.good_until:
                await self._count(batch.id, known)
        return replace(batch, counts=known.counts)

    async def _count(self, batch_id: RecordId, known: _Known) -> None:
        began = time.monotonic()
        known.counts = await count_batch(self._members, self._skipped, batch_id)
        await self._records.note_counts(batch_id, known.counts)
        now = time.monotonic()
        known.good_until = now + max(REST_SECONDS_LEAST, REST * (now - began))

    def _known_of(self, batch_id: RecordId) -> _Known:
        known = self._known.setdefault(batch_id, _Known())
        self._known.move_to_end(batch_id)
        if len(self._known) > BATCHES_KNOWN:
            self._known.popitem(last=False)
        return known

"""Counts of a batch: requests share them, they rest between two counts, and those of a batch that is over stay."""

import asyncio
from dataclasses import replace

from api.batch_counts import BatchCounts
from gridhaul.transfer.batches import Batch, BatchState, Counts, Group
from gridhaul.transfer.model import RecordId
from tests.contracts.memory_batches import MemoryBatches, MemoryMembers, MemorySkippedPaths
from tests.contracts.memory_registry import MemoryDeliveries, MemoryFiles
from tests.contracts.ports import LONG_LEASE_SECONDS, eventually, new_batch, new_member

LEASE = LONG_LEASE_SECONDS


class SlowMembers(MemoryMembers):
    """Members whose counts take a moment, so that requests meet."""

    times_counted = 0

    async def counts(self, batch_id: RecordId) -> Counts:
        self.times_counted += 1
        await asyncio.sleep(0.02)
        return await super().counts(batch_id)


class Counted:
    """A batch with one member over the twins, and its counts."""

    def __init__(self) -> None:
        self.records = MemoryBatches(lease_seconds=LEASE)
        self.members = SlowMembers(MemoryFiles(lease_seconds=LEASE), MemoryDeliveries(lease_seconds=LEASE))
        self.counts = BatchCounts(self.records, self.members, MemorySkippedPaths())

    async def batch(self) -> Batch:
        batch, _ = await self.records.register(new_batch())
        await self.members.insert([new_member("a", batch_id=batch.id)])
        return batch

    async def look(self, batch: Batch) -> Counts:
        counts = (await self.counts.counted(batch)).counts
        assert counts is not None
        return counts


async def test_requests_at_the_same_moment_share_one_count() -> None:
    counted = Counted()
    batch = await counted.batch()
    answers = await asyncio.gather(*(counted.look(batch) for _ in range(20)))
    assert counted.members.times_counted == 1
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].files == {"REGISTERED": Group(count=1, bytes=5)}
    noted = await counted.records.get(batch.id)
    assert noted is not None
    assert noted.counts == answers[0]


async def test_batches_are_counted_apart() -> None:
    counted = Counted()
    for batch in (await counted.batch(), await counted.batch()):
        await counted.look(batch)
    assert counted.members.times_counted == 2


async def test_count_rests_and_is_made_afresh_later() -> None:
    counted = Counted()
    batch = await counted.batch()
    first = await counted.look(batch)
    await counted.members.insert([new_member("b", batch_id=batch.id)])
    assert await counted.look(batch) == first
    assert counted.members.times_counted == 1

    async def fresh() -> bool:
        return (await counted.look(batch)).files["REGISTERED"].count == 2

    await eventually(fresh)
    assert counted.members.times_counted == 2


async def test_counts_of_a_batch_that_is_over_are_not_made_again() -> None:
    counted = Counted()
    batch = await counted.batch()
    over = replace(batch, state=BatchState.DONE, counts=await counted.look(batch))
    assert await counted.counts.counted(over) is over
    assert counted.members.times_counted == 1

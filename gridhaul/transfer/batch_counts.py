"""The counts of a batch, put together from its members and from the paths that it skipped."""

from dataclasses import replace

from gridhaul.transfer.batches import Counts
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.batches import Members, SkippedPaths


async def count_batch(members: Members, skipped: SkippedPaths, batch_id: RecordId) -> Counts:
    """Count the members by state, and the skipped paths by reason. Raises DatabaseUnavailable."""
    return replace(await members.counts(batch_id), skipped=dict(await skipped.counts(batch_id)))

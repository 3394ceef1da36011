"""Attempts at a batch's own record: after enough attempts in vain the search for files ends; all else is repeated."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gridhaul.transfer.batches import Batch, BatchState
from gridhaul.transfer.model import Lease
from gridhaul.transfer.retry import Limits
from tasks.attempt import Attempts

AGAIN_SECONDS = 60.0
# The state that follows after too many attempts in vain to find the batch's files. What is registered is still sent.
AFTER_FINDING = {BatchState.PLANNING: BatchState.PLANNED, BatchState.REGISTERING: BatchState.RUNNING}


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchAttempts(Attempts[BatchState]):
    """Attempts at a batch. Only the attempts to find its files are bounded; anything else is tried again."""

    finding: Limits  # how often and how long the search for files is tried again

    def of(self, batch: Batch) -> "BatchAttempts":
        """Return the attempts at the batch in its state."""
        own = replace(self, waiting=batch.state, failed=batch.state)
        if batch.following is not None or batch.state not in AFTER_FINDING:
            return own
        return replace(own, failed=AFTER_FINDING[batch.state], limits=self.finding)

    async def _give_up(self, lease: Lease, changes: Mapping[str, Any]) -> None:
        if self.failed is self.waiting:
            await self.records.release(lease, self.waiting, delay_seconds=AGAIN_SECONDS, **changes)
        elif self.failed is BatchState.PLANNED:
            await self.records.finish(lease, self.failed, **changes)
        else:
            ended = {"error": None, "ended_early": changes["error"], "fruitless_attempts": 0, "wait": None}
            await self.records.release(lease, self.failed, delay_seconds=0, **{**changes, **ended})

"""Lets all members of a batch follow an operator's action on the batch."""

from gridhaul.transfer.batches import Batch
from gridhaul.transfer.states import FILE_MOVES, Action, FileState
from tasks.attempt import AFTER_PROGRESS, Tenure
from tasks.batches.retrying import retry_files
from tasks.batches.waking import wake_lanes
from tasks.runtime import Runtime

MEMBERS_A_WRITE = 2000  # so many records are moved in well under a second


async def follow(runtime: Runtime, batch: Batch, action: Action, tenure: Tenure) -> bool:
    """Let all members follow the operator's action. Return whether they have.

    A worker that has lost its lease may register or queue a few more members after a stop, so a stop is repeated a
    lease later, and until it finds nothing more to stop. A delivery that is COMMITTING cannot be stopped, and becomes
    QUEUED again if it fails, so a stop is also repeated until no delivery is left that a worker may claim. Any action
    is repeated if a worker may still have let members follow the action before.
    """
    again_in = batch.rival_seconds
    if action in (Action.CANCEL, Action.PAUSE):
        moved = await _move_all(runtime, batch, action, tenure)
        committing = await runtime.batches.members.any_deliverable(batch.id)
        if committing:
            await wake_lanes(runtime, batch)
        again_in = runtime.settings.lease_seconds if moved or committing or not batch.followed else 0.0
    else:
        await (_retry(runtime, batch, tenure) if action is Action.RETRY else _move_all(runtime, batch, action, tenure))
        # First wake the lanes: if this worker dies before it clears `following`, another one wakes them again.
        await wake_lanes(runtime, batch)
    if again_in:
        changes = {"followed": batch.followed + 1, **AFTER_PROGRESS}
        await runtime.batches.records.release(batch.lease, batch.state, delay_seconds=again_in, **changes)
        return False
    await runtime.batches.records.renew(batch.lease, following=None, **AFTER_PROGRESS)
    return True


async def _retry(runtime: Runtime, batch: Batch, tenure: Tenure) -> None:
    """Queue again what failed or was cancelled. A repeat only queues what a worker with an earlier action cancelled.

    So the repeat leaves what failed since the retry as it is.
    """
    if batch.followed:
        while await runtime.batches.members.retry_cancelled(batch.id, limit=MEMBERS_A_WRITE):
            tenure.check()
        await retry_files(runtime, batch, tenure, states=frozenset({FileState.CANCELLED}))
    else:
        await _move_all(runtime, batch, Action.RETRY, tenure)
        await retry_files(runtime, batch, tenure, states=FILE_MOVES[Action.RETRY].from_states)
    # The batch may have been paused, then cancelled and retried before a worker let the members follow the cancel.
    await _move_all(runtime, batch, Action.RESUME, tenure)


async def _move_all(runtime: Runtime, batch: Batch, action: Action, tenure: Tenure) -> int:
    total = 0
    while moved := await runtime.batches.members.follow(batch.id, action, who=None, limit=MEMBERS_A_WRITE):
        tenure.check()
        total += moved
    return total

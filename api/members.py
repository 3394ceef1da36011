"""Files and deliveries that are members of a batch: an action on one of them concerns its batch too."""

from api.dependencies import Service
from gridhaul.transfer.batches import AT_ITS_END, ENDED, GO_ON_WITH_MEMBER, BatchState
from gridhaul.transfer.errors import StateConflict
from gridhaul.transfer.model import Delivery, File, Hint, TaskName


async def let_batch_go_on(service: Service, record: File | Delivery) -> None:
    """Let the record's batch go on if it is over.

    Raises StateConflict if the batch is PAUSED, is still being cancelled, or is being deleted.
    """
    if record.batch_id is None:
        return
    batch = await service.batches.get(record.batch_id)
    if batch is not None and batch.state is BatchState.PAUSED:
        raise StateConflict(f"The batch {batch.id} of the record is PAUSED; resume the batch.")
    if batch is not None and batch.state in AT_ITS_END:
        raise StateConflict(f"The batch {batch.id} of the record is {batch.state}, with all its files.")
    # A worker that lets the members follow the cancel may not have come to this one yet, or may repeat the cancel.
    if batch is not None and batch.state in ENDED and batch.following is not None:
        raise StateConflict(f"The batch {batch.id} of the record is still being cancelled; try again in a minute.")
    await service.batches.move(record.batch_id, GO_ON_WITH_MEMBER)


async def hint(service: Service, record: File | Delivery, task: TaskName) -> None:
    """Send the record's hint; if it is a member of a batch, the hint of its lane, and let the batch go on."""
    if record.batch_id is None:
        service.hints.offer(Hint(task=task, record_id=record.id, queue=record.queue))
        return
    # The batch does not move while its members follow an action. Then it is either open, or it was cancelled just now,
    # and a worker will cancel this member, too.
    await service.batches.move(record.batch_id, GO_ON_WITH_MEMBER)
    for owed in await service.lanes.wake(record.batch_id, record.owner, [record.queue]):
        service.hints.offer(owed)

"""The journey of a lane's message: take some due members of the batch, send the lane's next message, then work.

The next message is sent before the work begins, so that every child that is free takes some members too.
"""

import itertools
from collections.abc import Coroutine
from typing import Any

from gridhaul.transfer.batches import STANDING, Lane, Token
from gridhaul.transfer.bundle import first_bundle, storing_task
from gridhaul.transfer.model import File, Queue, RecordId, TaskName
from gridhaul.transfer.states import DeliveryState, FileState
from tasks.batches.waking import look_soon
from tasks.celery import app
from tasks.delivering.deliver_together import claim_together, deliver_claimed
from tasks.finalize_file import deliver_file, end_commit
from tasks.one_by_one import one_by_one
from tasks.runtime import Runtime, worker
from tasks.store_bundle import claim_new, store_claimed
from tasks.upload_file import store_file

MEMBERS_A_LOOK = 64  # more small deliveries together take hardly less time for each


@app.task(name=TaskName.TAKE_DUE)
def take_due(token: str) -> None:
    """Run the journey `take_some` for the lane whose token is in the message."""
    worker.run_in_turn(take_some, token)


async def take_some(runtime: Runtime, token: str) -> None:
    """Work on some members of the lane that are due, or let the lane rest until some will be."""
    lane = await runtime.batches.lanes.take(Token(RecordId(token)))
    if lane is None:
        return
    batch = await runtime.batches.records.get(lane.batch_id)
    stands = batch is None or batch.state in STANDING
    work = await (_begin_commits(runtime, lane) if stands else _begin(runtime, lane))
    if work is None:
        await (runtime.batches.lanes.rest(lane, None) if stands else _rest(runtime, lane))
        return
    runtime.hints.offer(lane.hint)
    runtime.turns.note(lane.owner)
    await work
    await _owe(runtime, lane)


async def _begin(runtime: Runtime, lane: Lane) -> Coroutine[Any, Any, None] | None:
    """Claim some due members, and return the work on them; None if nothing is due."""
    limit = MEMBERS_A_LOOK if lane.queue is Queue.SMALL else 1
    due = await runtime.batches.members.due(lane.batch_id, lane.queue, limit=limit)
    if due.deliveries:
        ids = [delivery.id for delivery in first_bundle(due.deliveries, most=MEMBERS_A_LOOK)]
        if lane.queue is not Queue.SMALL:
            return one_by_one(runtime, deliver_file, ids)
        return deliver_claimed(runtime, await claim_together(runtime, ids))
    if not due.files:
        return None
    # The file that has waited longest decides, so neither kind waits until no file of the other kind is due.
    if not _is_new_and_small(due.files[0]):
        alone = first_bundle([*itertools.filterfalse(_is_new_and_small, due.files)])
        return one_by_one(runtime, store_file, [file.id for file in alone])
    together = first_bundle([*filter(_is_new_and_small, due.files)])
    claimed = await claim_new(runtime, [file.id for file in together])
    return store_claimed(runtime, claimed)


async def _begin_commits(runtime: Runtime, lane: Lane) -> Coroutine[Any, Any, None] | None:
    """Return the work on deliveries that are COMMITTING; None if none is due. No action of an operator ends them."""
    due = await runtime.batches.members.due(lane.batch_id, lane.queue, limit=MEMBERS_A_LOOK)
    ids = [delivery.id for delivery in due.deliveries if delivery.state is DeliveryState.COMMITTING]
    return one_by_one(runtime, end_commit, ids) if ids else None


def _is_new_and_small(file: File) -> bool:
    untouched = file.state is FileState.REGISTERED and not file.attempts and file.content_id is None
    return untouched and storing_task(length=file.length, queue=file.queue) is TaskName.STORE_BUNDLE


async def _owe(runtime: Runtime, lane: Lane) -> None:
    """Let the lane owe a hint for members that were not finished, however long the lane rests already."""
    until = await runtime.batches.members.next_due(lane.batch_id, lane.queue)
    if until is None:
        await look_soon(runtime, lane.batch_id)
    else:
        await runtime.batches.lanes.owe(lane, until)


async def _rest(runtime: Runtime, lane: Lane) -> None:
    """Let the lane rest until a member may be due."""
    until = await runtime.batches.members.next_due(lane.batch_id, lane.queue)
    if not await runtime.batches.lanes.rest(lane, until):  # a member has become due meanwhile
        runtime.hints.offer(lane.hint)
    elif until is None:
        await look_soon(runtime, lane.batch_id)

"""The journey from a stored content to a remote target: probe, stream, check, commit last."""

from contextlib import suppress
from functools import partial
from typing import Any

from gridhaul.transfer.errors import (
    ContentMismatch,
    FileDeleted,
    GridhaulError,
    IntegrityError,
    TargetLocked,
    TargetRefused,
)
from gridhaul.transfer.model import (
    ATTEMPTS_KEPT,
    CheckedWhen,
    Content,
    Delivery,
    File,
    RecordId,
    TaskName,
)
from gridhaul.transfer.naming import is_temporary
from gridhaul.transfer.ports.targets import DirectPut, Staging
from gridhaul.transfer.states import DELIVERABLE, DeliveryState, FileState
from tasks.attempt import Meter, Tenure
from tasks.celery import app
from tasks.delivering.direct_sending import send_directly
from tasks.delivering.final_name import choose_final_name, hold_first_name
from tasks.delivering.policy import require_possible
from tasks.delivering.receipt import Delivered, make_receipt
from tasks.delivering.sending import Sending
from tasks.delivering.staged_sending import StagedSending
from tasks.runtime import Runtime, worker


@app.task(name=TaskName.FINALIZE_FILE)
def finalize_file(delivery_id: str) -> None:
    """Run the journey `deliver_file` for the delivery id in the message."""
    worker.run_in_turn(deliver_file, delivery_id)


async def deliver_file(runtime: Runtime, delivery_id: str) -> None:
    """Claim the delivery and do it. Do nothing if the claim fails."""
    await _claim_and_deliver(runtime, delivery_id, from_states=DELIVERABLE, to_state=DeliveryState.STREAMING)


async def end_commit(runtime: Runtime, delivery_id: str) -> None:
    """Do a delivery that is COMMITTING. It stays in that state, because no action of an operator may end it there."""
    committing = DeliveryState.COMMITTING
    await _claim_and_deliver(runtime, delivery_id, from_states=frozenset({committing}), to_state=committing)


async def _claim_and_deliver(
    runtime: Runtime, delivery_id: str, *, from_states: frozenset[DeliveryState], to_state: DeliveryState
) -> None:
    delivery = await runtime.deliveries.claim(
        RecordId(delivery_id), holder=runtime.holder, from_states=from_states, to_state=to_state
    )
    if delivery is not None:
        runtime.turns.note(delivery.owner)
        meter = Meter(delivery.sent_bytes_most, partial(_progress, delivery.sent_in_attempts))
        await runtime.delivery_attempts.run(delivery, lambda tenure: _deliver(runtime, delivery, tenure, meter), meter)


def _progress(sent_before: tuple[int, ...], meter: Meter) -> dict[str, Any]:
    sent = (*sent_before, meter.moved)[-ATTEMPTS_KEPT:] if meter.moved else sent_before
    return {
        "sent_bytes": meter.position,
        "sent_bytes_most": meter.furthest,
        "sent_in_attempts": sent,
        "checked_bytes": meter.checked,
    }


async def _deliver(runtime: Runtime, delivery: Delivery, tenure: Tenure, meter: Meter) -> None:
    file, content = await _stored(runtime, delivery)
    if content.sha256 != delivery.sha256:  # the receipt will name `delivery.sha256`
        raise ContentMismatch("The stored bytes are not those that the delivery was asked for.")
    held = await hold_first_name(runtime.deliveries, delivery)
    target = await runtime.targets.get(delivery.target)
    await runtime.targets.probe_if_due(target, delivery, runtime.deliveries, tenure)
    if delivery.stage is None or not delivery.stage.committing:  # otherwise the object may be there already
        require_possible(delivery, target)
    sending = Sending(runtime, delivery=delivery, file=file, content=content, target=target, tenure=tenure, meter=meter)
    # Remove temporary objects of earlier attempts before the final name is looked at, because an earlier worker could
    # still rename such an object. The stage is kept: nobody renames it before it was noted as committing.
    for name in filter(is_temporary, delivery.leftovers):
        tenure.check()
        if delivery.stage is not None and name == delivery.stage.name:
            await sending.forget_tag_of(name)
            continue
        with suppress(TargetLocked):  # a request of a lost worker holds the object, which is removed later
            await sending.remove_left(name)
    try:
        await _run(sending, held)
    except GridhaulError as error:
        await sending.abandon_unless_useful(error)
        if isinstance(error, IntegrityError):
            await _stored(runtime, delivery)  # raises FileDeleted if the bytes are missing because of a delete
        await runtime.targets.outdate_if_refuted(target)
        raise


async def _stored(runtime: Runtime, delivery: Delivery) -> tuple[File, Content]:
    """Return the delivery's file and its content. Raises FileDeleted."""
    stored = await _look_for_stored(runtime, delivery)
    if stored is None:  # a new primary may not show all confirmed records yet; after a majority write it does
        await runtime.deliveries.renew(delivery.lease)
        stored = await _look_for_stored(runtime, delivery)
    if stored is None:
        raise FileDeleted("The file was deleted before it was delivered.")
    return stored


async def _look_for_stored(runtime: Runtime, delivery: Delivery) -> tuple[File, Content] | None:
    file = await runtime.files.get(delivery.file_id)
    if file is None or file.state is not FileState.STORED or file.content_id is None:
        return None
    content = await runtime.contents.get(file.content_id)
    return None if content is None else (file, content)


async def _run(sending: Sending, held: str | None) -> None:
    """Do the delivery, under the name that is held already, if that is free at the target."""
    done = await _committed_before(sending, held) or await _choose_and_send(sending, held)
    await _finish(sending, done)


async def _committed_before(sending: Sending, held: str | None) -> Delivered | None:
    """Return the object that an earlier attempt has committed, if its mark tells it."""
    if held is not None and isinstance(sending.target, Staging):
        return await StagedSending(sending, sending.target).committed_before(held)
    return None


async def _choose_and_send(sending: Sending, held: str | None) -> Delivered:
    final = await choose_final_name(sending.deliveries, sending.delivery, sending.objects, held=held)
    if final.replaces is not None or not sending.delivery.final_touched:
        sending.replaces = final.replaces
    if final.delivered is None:
        return await _sent(sending, final.name)
    stage = sending.delivery.stage
    was_checked = stage is not None and stage.committing and not sending.delivery.final_touched
    when = CheckedWhen.BEFORE_COMMIT if was_checked else CheckedWhen.AFTER_COMMIT
    with suppress(GridhaulError):  # otherwise the cleaning removes the stage
        await sending.abandon_stage()
    return Delivered(name=final.name, evidence=final.delivered.evidence, checked=when)


async def _sent(sending: Sending, name: str) -> Delivered:
    target = sending.target
    if isinstance(target, Staging):
        return await StagedSending(sending, target).run(name)
    if isinstance(target, DirectPut):
        return await send_directly(sending, target, name)
    raise TargetRefused("Targets of this kind cannot be written to.")


async def _finish(sending: Sending, done: Delivered) -> None:
    """Finish the delivery with its receipt. Workers of earlier attempts may still write to the names that are left."""
    delivery = sending.delivery
    ended = {**sending.meter.changes(), "sent_bytes": sending.content.length, "checked_bytes": 0, "error": None}
    receipt = await make_receipt(
        delivery, sending.objects, sending.source, done, sent_in_attempts=ended["sent_in_attempts"]
    )
    left = tuple(name for name in sending.left_before if is_temporary(name))
    stage = delivery.stage if delivery.stage is not None and delivery.stage.name in left else None
    await sending.deliveries.finish(
        delivery.lease, DeliveryState.DELIVERED, leftovers=left, stage=stage, receipt=receipt, **ended
    )

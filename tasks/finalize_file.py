"""The journey from a stored content to a remote target: probe, stream, check, commit last."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from gridhaul.process.threads import in_thread
from gridhaul.transfer.errors import (
    ContentMismatch,
    FileDeleted,
    GridhaulError,
    IntegrityError,
    NotFound,
    ObjectExists,
    OutcomeUnknown,
    TargetInconsistent,
    TargetLocked,
    TargetUnavailable,
)
from gridhaul.transfer.model import (
    Content,
    Delivery,
    Evidence,
    File,
    IfExists,
    RecordId,
    TaskName,
)
from gridhaul.transfer.naming import is_temporary, temporary_name
from gridhaul.transfer.ports.targets import AtomicCommit, Blocks, KeepsAttributes, Leaving, Probed, Target
from gridhaul.transfer.states import DELIVERABLE, DeliveryState, FileState
from tasks.attempt import Meter, Tenure
from tasks.celery import app
from tasks.delivering.final_name import choose_final_name, hold_first_name, is_content, may_be_ours, was_there
from tasks.delivering.known_targets import remove_leftover
from tasks.delivering.object_reader import ObjectReader
from tasks.delivering.receipt import make_receipt
from tasks.delivering.sent_object import SentObject
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
        meter = Meter(delivery.sent_bytes_most, _progress)
        await runtime.delivery_attempts.run(delivery, lambda tenure: _deliver(runtime, delivery, tenure, meter), meter)


def _progress(meter: Meter) -> dict[str, Any]:
    return {"sent_bytes": meter.position, "sent_bytes_most": meter.furthest, "checked_bytes": meter.checked}


async def _deliver(runtime: Runtime, delivery: Delivery, tenure: Tenure, meter: Meter) -> None:
    file, content = await _stored(runtime, delivery)
    if content.sha256 != delivery.sha256:  # the receipt will name `delivery.sha256`
        raise ContentMismatch("The stored bytes are not those that the delivery was asked for.")
    held = await hold_first_name(runtime.deliveries, delivery)
    target = await runtime.targets.get(delivery.target)
    await runtime.targets.probe_if_due(target, delivery, runtime.deliveries, tenure)
    attempt = _Attempt(
        runtime, delivery=delivery, file=file, content=content, target=target, tenure=tenure, meter=meter
    )
    # Remove temporary objects of earlier attempts before the final name is looked at, because an earlier worker could
    # still rename such an object.
    for name in filter(is_temporary, delivery.leftovers):
        tenure.check()
        with suppress(TargetLocked):  # a request of a lost worker holds the object, which stays a leftover until later
            await attempt.remove_left(name)
    try:
        await attempt.run(held)
    except IntegrityError:
        await _stored(runtime, delivery)  # raises FileDeleted if the bytes are missing because of a delete
        raise
    except GridhaulError:
        await runtime.targets.forget_if_outdated(target)
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


class _Attempt:
    """One attempt at one delivery."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        delivery: Delivery,
        file: File,
        content: Content,
        target: Target,
        tenure: Tenure,
        meter: Meter,
    ) -> None:
        self._runtime = runtime
        self._deliveries = runtime.deliveries
        self._delivery = delivery
        self._source = file.origin.attributes
        self._content = content
        self._target = target
        self._tenure = tenure
        self._meter = meter
        self._objects = ObjectReader(target, content, meter)
        self._sent = SentObject(self._objects)
        self._replaces = delivery.replaced  # somebody else's object under the final name
        self._put_began = False

    async def run(self, held: str | None) -> None:
        """Do the delivery, under the name that is held already, if that is free at the target."""
        final = await choose_final_name(self._deliveries, self._delivery, self._objects, held=held)
        if final.replaces is not None or not self._delivery.final_touched:
            self._replaces = final.replaces
        if final.delivered is not None:
            await self._finish(final.name, final.delivered.evidence)
        elif isinstance(self._target, AtomicCommit):
            await self._send_and_commit(final.name, self._target)
        else:
            await self._send(final.name)

    async def _send_and_commit(self, name: str, commit: AtomicCommit) -> None:
        """Write the object under a temporary name, check it, and only then rename it to its final name."""
        temporary = temporary_name(name, self._delivery.lease)
        await self._deliveries.renew(self._delivery.lease, leftovers=(*self._delivery.leftovers, temporary))
        try:
            await self._put(temporary)
            evidence = await self._sent.check(temporary)
            checked = await self._sent.tagged(temporary, evidence)
            changes = {"checked": checked, **self._meter.changes()}
            await self._deliveries.renew(self._delivery.lease, state=DeliveryState.COMMITTING, **changes)
            self._delivery = replace(self._delivery, checked=checked)
            await self._commit(commit, temporary, name)
        except GridhaulError:
            with suppress(GridhaulError):  # the next attempt, or the cleaning, removes the object
                self._tenure.check()
                await self.remove_left(temporary)
            raise
        try:
            await self._sent.confirm(name, checked=checked, replaced=self._replaces)
        except (TargetUnavailable, OutcomeUnknown):
            self._doubt_facts()
            raise
        await self._finish(name, evidence)

    async def remove_left(self, name: str) -> None:
        """Remove what an attempt left under a temporary name.

        The tag of the checked object is forgotten if the object is still there: then another one has the final name.
        """
        checked = self._delivery.checked
        if checked is not None and checked.temporary_name == name and await self._sent.is_there(name):
            await self._deliveries.renew(self._delivery.lease, checked=None)
            self._delivery = replace(self._delivery, checked=None)
        await remove_leftover(self._target, name)

    def _doubt_facts(self) -> None:
        """Ask for a new probe, because the rename ended in a way that the facts of the target exclude."""
        if isinstance(self._target, Probed):
            self._target.facts_outdated = True

    async def _commit(self, commit: AtomicCommit, temporary: str, name: str) -> None:
        overwrite = self._delivery.if_exists is IfExists.OVERWRITE
        self._tenure.check()
        try:
            await (commit.replace if overwrite else commit.commit)(temporary, name)
        except (ObjectExists, NotFound) as surprise:  # the rename may have succeeded; the next attempt looks first
            self._doubt_facts()
            detail = "The target changed while the object was renamed; it is asked again."
            raise TargetInconsistent(detail) from surprise

    async def _send(self, name: str) -> None:
        """Write the object straight to the final name, and check it there, because the target cannot rename.

        This promises less: whoever reads the target may see a part of the object.
        """
        left = (*self._temporary_names, name)
        await self._deliveries.renew(self._delivery.lease, final_touched=True, replaced=self._replaces, leftovers=left)
        try:
            await self._put(name)
            await self._deliveries.renew(self._delivery.lease, state=DeliveryState.COMMITTING, **self._meter.changes())
            evidence = await self._sent.check(name)
        except OutcomeUnknown:
            evidence = Evidence.ACKNOWLEDGED
        except GridhaulError:
            await self._take_back(name)
            raise
        await self._finish(name, evidence)

    async def _finish(self, name: str, evidence: Evidence) -> None:
        """Finish the delivery with its receipt."""
        delivery = self._delivery
        done = {
            "receipt": await make_receipt(delivery, self._objects, self._source, name=name, evidence=evidence),
            "sent_bytes": self._content.length,
            "checked_bytes": 0,
            "rate": self._meter.rate,
            "error": None,
        }
        left = self._temporary_names  # workers of earlier attempts may still write these objects
        await self._deliveries.finish(delivery.lease, DeliveryState.DELIVERED, leftovers=left, **done)

    @property
    def _temporary_names(self) -> tuple[str, ...]:
        """Return the names of temporary objects that earlier attempts noted."""
        return tuple(filter(is_temporary, self._delivery.leftovers))

    async def _put(self, name: str) -> None:
        chunks = self._runtime.contents.read(self._content)
        try:
            # Read the first chunk before the target is touched: of a content of up to 16 chunks, all is verified then.
            await in_thread(chunks.begin, when_cancelled=chunks.stop)
            self._tenure.check()
            self._put_began = True
            bytes_out = _Leaving(self._tenure, self._meter)
            await self._write(name, chunks, bytes_out.leaving)
            bytes_out.left()
        finally:
            await in_thread(chunks.close)

    async def _write(self, name: str, blocks: Blocks, leaving: Leaving) -> None:
        target, length = self._target, self._content.length
        if isinstance(target, KeepsAttributes) and self._source is not None:
            await target.put_with(name, blocks, length=length, leaving=leaving, attributes=self._source)
        else:
            await target.put(name, blocks, length=length, leaving=leaving)

    async def _take_back(self, name: str) -> None:
        """Remove the object that was sent to the final name, but never the object that was there before.

        Nothing is done unless the lease still holds. If the target shows the removal, the record notes that no byte of
        the delivery is left under the final name.
        """
        with suppress(GridhaulError):
            await self._deliveries.renew(self._delivery.lease)
            found = await (self._sent.read_late(name) if self._put_began else self._sent.read(name))
            if found is not None and is_content(found, self._content):
                return  # the next attempt finds the whole object, and need not send it again
            if found is not None and self._put_began and may_be_ours(self._delivery, self._replaces, found):
                await self._target.remove(name)
                found = await self._target.find(name, length=self._content.length)
            if found is None or was_there(self._replaces, found):
                await self._deliveries.renew(self._delivery.lease, final_touched=False, leftovers=self._temporary_names)


class _Leaving:
    """Counts the bytes that have left, and checks the lease right before more leave. The thread that sends calls it."""

    def __init__(self, tenure: Tenure, meter: Meter) -> None:
        self._tenure = tenure
        self._meter = meter
        self._on_its_way = 0

    def leaving(self, length: int) -> None:
        """Note that `length` bytes are about to leave, and that the bytes before have left. Raises LeaseLost."""
        self._tenure.check()
        self.left()
        self._on_its_way = length

    def left(self) -> None:
        """Note that the bytes on their way have left."""
        self._meter.add(self._on_its_way)
        self._on_its_way = 0

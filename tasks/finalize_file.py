"""The journey from a stored content to a remote target: probe, stream, check, commit last."""

import asyncio
from contextlib import suppress
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
    TargetLocked,
    TargetMismatch,
    TargetUnavailable,
)
from gridhaul.transfer.model import (
    Content,
    Delivery,
    Evidence,
    IfExists,
    Receipt,
    RecordId,
    TaskName,
)
from gridhaul.transfer.naming import is_temporary, temporary_name
from gridhaul.transfer.ports import AtomicCommit, Target
from gridhaul.transfer.states import DELIVERABLE, DeliveryState, FileState
from tasks.attempt import Meter, Tenure
from tasks.celery import app
from tasks.final_name import NOT_READ_BACK, choose_final_name, is_content, may_be_ours, was_there
from tasks.runtime import Runtime, worker

SHOWN_LATE_SECONDS = (0.5, 1.5)  # servers with caches show an older length for a moment


@app.task(name=TaskName.FINALIZE_FILE)
def finalize_file(delivery_id: str) -> None:
    """Celery's shell."""
    worker.run(deliver_file, delivery_id)


async def deliver_file(runtime: Runtime, delivery_id: str) -> None:
    """Claim the delivery and do it. No claim, no work."""
    delivery = await runtime.deliveries.claim(
        RecordId(delivery_id), holder=runtime.holder, from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    if delivery is not None:
        meter = Meter(delivery.sent_bytes_most, _progress)
        await runtime.delivery_attempts.run(delivery, lambda tenure: _deliver(runtime, delivery, tenure, meter), meter)


def _progress(meter: Meter) -> dict[str, Any]:
    return {"sent_bytes": meter.position, "sent_bytes_most": meter.furthest}


async def _deliver(runtime: Runtime, delivery: Delivery, tenure: Tenure, meter: Meter) -> None:
    content = await _content(runtime, delivery)
    if content.sha256 != delivery.sha256:  # the receipt vouches for the delivery's
        raise ContentMismatch("The stored bytes are not those that the delivery was asked for.")
    target = runtime.targets.get(delivery.target)
    attempt = _Attempt(runtime, delivery, content, target, tenure, meter)
    for name in filter(is_temporary, delivery.leftovers):  # first of all: an earlier worker could still rename it
        tenure.check()
        with suppress(TargetLocked):  # its worker is gone or stopped in the middle: it stays a leftover, for later
            await target.remove(name)
    try:
        await attempt.run()
    except IntegrityError:
        await _content(runtime, delivery)  # a file that was deleted meanwhile is not a damaged one
        raise


async def _content(runtime: Runtime, delivery: Delivery) -> Content:
    content = await _stored_content(runtime, delivery)
    if content is None:  # a new primary may not know yet what is confirmed; after a write to it, it does
        await runtime.deliveries.renew(delivery.lease)
        content = await _stored_content(runtime, delivery)
    if content is None:
        raise FileDeleted("The file was deleted before it was delivered.")
    return content


async def _stored_content(runtime: Runtime, delivery: Delivery) -> Content | None:
    file = await runtime.files.get(delivery.file_id)
    if file is None or file.state is not FileState.STORED or file.content_id is None:
        return None
    return await runtime.contents.get(file.content_id)


class _Attempt:
    """One attempt at one delivery."""

    def __init__(
        self, runtime: Runtime, delivery: Delivery, content: Content, target: Target, tenure: Tenure, meter: Meter
    ) -> None:
        self._runtime = runtime
        self._deliveries = runtime.deliveries
        self._delivery = delivery
        self._content = content
        self._target = target
        self._tenure = tenure
        self._meter = meter
        self._replaces = delivery.replaced  # somebody else's object under the name
        self._put_began = False

    async def run(self) -> None:
        final = await choose_final_name(self._deliveries, self._delivery, self._content, self._target)
        if final.replaces is not None or not self._delivery.final_touched:
            self._replaces = final.replaces
        if final.delivered is not None:
            await self._finish(final.name, final.delivered.evidence)
        elif isinstance(self._target, AtomicCommit):
            await self._send_and_commit(final.name, self._target)
        else:
            await self._send(final.name)

    async def _send_and_commit(self, name: str, commit: AtomicCommit) -> None:
        """Write under a temporary name, check what arrived, and only then give it its name."""
        temporary = temporary_name(name, self._delivery.lease)
        await self._deliveries.renew(self._delivery.lease, leftovers=(*self._delivery.leftovers, temporary))
        try:
            await self._put(temporary)
            evidence = await self._check(temporary)
            await self._deliveries.renew(self._delivery.lease, state=DeliveryState.COMMITTING, **self._meter.changes())
            await self._commit(commit, temporary, name)
        except GridhaulError:
            await self._remove_quietly(temporary)
            raise
        await self._confirm(name)
        await self._finish(name, evidence)

    async def _commit(self, commit: AtomicCommit, temporary: str, name: str) -> None:
        overwrite = self._delivery.if_exists is IfExists.OVERWRITE
        self._tenure.check()
        try:
            await (commit.replace if overwrite else commit.commit)(temporary, name)
        except (ObjectExists, NotFound) as surprise:  # perhaps our own rename, answered late: the next probe tells
            raise TargetUnavailable("The target changed while the object was renamed; it is asked again.") from surprise

    async def _send(self, name: str) -> None:
        """One pass straight to the final name, for targets that cannot rename: the weaker promise."""
        left = (*self._temporary_names, name)
        await self._deliveries.renew(self._delivery.lease, final_touched=True, replaced=self._replaces, leftovers=left)
        try:
            await self._put(name)
            await self._deliveries.renew(self._delivery.lease, state=DeliveryState.COMMITTING, **self._meter.changes())
            evidence = await self._check(name)
        except OutcomeUnknown:
            evidence = Evidence.ACKNOWLEDGED
        except GridhaulError:
            await self._take_back(name)
            raise
        await self._finish(name, evidence)

    async def _finish(self, name: str, evidence: Evidence) -> None:
        """Write the receipt."""
        delivery, content = self._delivery, self._content
        receipt = Receipt(
            length=content.length,
            sha256=delivery.sha256,
            manifest_root=content.manifest_root or "",
            target=delivery.target,
            object_name=name,
            location=self._target.location(name),
            evidence=evidence,
            atomic_commit=isinstance(self._target, AtomicCommit),
            attempts=delivery.attempts,
        )
        done = {"receipt": receipt, "sent_bytes": content.length, "rate": self._meter.rate, "error": None}
        left = self._temporary_names  # of earlier attempts: one of their workers may still be at it
        await self._deliveries.finish(delivery.lease, DeliveryState.DELIVERED, leftovers=left, **done)

    @property
    def _temporary_names(self) -> tuple[str, ...]:
        """Those of earlier attempts."""
        return tuple(filter(is_temporary, self._delivery.leftovers))

    async def _put(self, name: str) -> None:
        chunks = self._runtime.contents.read(self._content)
        try:
            # Of a small content everything, of a large one all but the last segment is verified before a byte leaves.
            await in_thread(chunks.begin, when_cancelled=chunks.stop)
            self._tenure.check()
            self._put_began = True
            sent = _Sent(self._tenure, self._meter)
            await self._target.put(name, chunks, length=self._content.length, leaving=sent.leaving)
            sent.left()
        finally:
            await in_thread(chunks.close)

    async def _check(self, name: str) -> Evidence:
        """The evidence that the target holds the right bytes. Raises TargetMismatch."""
        for delay in (*SHOWN_LATE_SECONDS, None):
            found = await self._target.inspect(name, length=self._content.length)
            if found is not None and is_content(found, self._content):
                return found.evidence
            if delay is None or (found is not None and found.length == self._content.length):
                break
            await asyncio.sleep(delay)
        if found is None:
            raise TargetUnavailable("The target took the bytes but does not have the object.")
        raise TargetMismatch("The target stored other bytes than were sent; they were removed.")

    async def _confirm(self, name: str) -> None:
        """After the rename the object is where it belongs. Its bytes were checked before."""
        found = await self._target.inspect(name, length=NOT_READ_BACK)
        if found is None or found.length != self._content.length:
            raise TargetUnavailable("The target renamed the object but does not show it.")

    async def _take_back(self, name: str) -> None:
        """Remove what was sent under the final name, but never what was there before.

        Nothing is touched unless the lease is held still. Where the removal shows, the name is nobody's again.
        """
        with suppress(GridhaulError):
            await self._deliveries.renew(self._delivery.lease)
            found = await self._target.inspect(name, length=self._content.length)
            if found is not None and self._put_began and may_be_ours(self._delivery, self._replaces, found):
                await self._target.remove(name)
                found = await self._target.inspect(name, length=NOT_READ_BACK)
            if found is None or was_there(self._replaces, found):
                await self._deliveries.renew(self._delivery.lease, final_touched=False, leftovers=self._temporary_names)

    async def _remove_quietly(self, name: str) -> None:
        with suppress(GridhaulError):  # whoever comes next removes it first
            self._tenure.check()
            await self._target.remove(name)


class _Sent:
    """What has left, counted; right before anything does, the lease is looked at. Used by whichever thread sends."""

    def __init__(self, tenure: Tenure, meter: Meter) -> None:
        self._tenure = tenure
        self._meter = meter
        self._on_its_way = 0

    def leaving(self, length: int) -> None:
        """So many bytes are about to leave, and those before have left. Raises LeaseLost."""
        self._tenure.check()
        self.left()
        self._on_its_way = length

    def left(self) -> None:
        """What was on its way has left."""
        self._meter.add(self._on_its_way)
        self._on_its_way = 0

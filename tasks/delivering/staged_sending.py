"""The way of a delivery through a stage at its target: begun or gone on with, written, checked, and committed last.

The record has the stage before its first byte, and keeps it over errors that another try may cure, so that a later
attempt goes on with it. Once a commit was begun, nothing is written to the stage any more. The worker's log has a line
for each step, so that the times of writing and of checking can be told apart.
"""

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from gridhaul.transfer.errors import (
    GridhaulError,
    LeaseLost,
    NotFound,
    ObjectExists,
    OutcomeUnknown,
    TargetInconsistent,
    TargetMismatch,
    TargetUnavailable,
)
from gridhaul.transfer.model import CheckedObject, CheckedWhen, Evidence, IfExists, Stage
from gridhaul.transfer.naming import temporary_name
from gridhaul.transfer.ports.targets import KeepsUploads, Staging, Tagging, TellsDigests
from gridhaul.transfer.states import DeliveryState
from tasks.delivering.final_name import carries_mark, mark_of
from tasks.delivering.receipt import Delivered
from tasks.delivering.sending import Sending, aligned

NOTED_EACH_TIME = 1000  # parts: the record of a stage with more of them is large
NOTE_SECONDS = 0.25

log = structlog.get_logger(__name__)


class StagedSending:
    """One attempt to deliver through a stage."""

    def __init__(self, sending: Sending, target: Staging) -> None:
        self._sending = sending
        self._target = target
        self._noted_at = 0.0  # when the record got the stage last, by the monotonic clock
        self._unnoted: Stage | None = None  # what the target has confirmed since
        self._log = log.bind(record_id=sending.delivery.id, fence=sending.delivery.fence)

    async def run(self, name: str) -> Delivered:
        """Deliver the object under the final name."""
        self._log.info("stage_begins")
        stage = await self._written(await self._continued(name) or await self._begun(name))
        self._log.info("stage_written")
        evidence = await self._checked(stage)
        if evidence is not None:
            self._log.info("object_checked", evidence=evidence)
        is_as_proved = await self._commit(stage, evidence)
        self._log.info("stage_committed")
        sent_at_once = stage.generation == self._fence
        if evidence is None and is_as_proved:
            return await self._checked_under_final_name(name, sent_at_once=sent_at_once)
        if evidence is None or not (is_as_proved and await self._is_confirmed(stage)):
            return await self._read_under_final_name(name, sent_at_once=sent_at_once)
        return Delivered(name=name, evidence=evidence, checked=CheckedWhen.BEFORE_COMMIT)

    async def committed_before(self, name: str) -> Delivered | None:
        """Return the object that an earlier attempt has committed to the name; None if it has not.

        The object carries the mark of its multipart upload, so it need not be told apart by its bytes. Nobody has seen
        the answer to its commit, so it is read unless the target tells its length and digests.
        """
        delivery = self._sending.delivery
        stage, checked = delivery.stage, delivery.checked
        was_committing = stage is not None and stage.upload_id is not None and stage.committing
        if name != delivery.final_name or not (delivery.final_touched or was_committing):
            return None
        if not await carries_mark(delivery, self._sending.target, name):
            return None
        if checked is None or stage is None or checked.temporary_name != stage.name:
            return await self._checked_under_final_name(name, sent_at_once=False)
        if isinstance(self._target, TellsDigests) and await self._target.is_made_of(stage):
            return Delivered(name=name, evidence=checked.evidence, checked=CheckedWhen.BEFORE_COMMIT)
        return await self._read_under_final_name(name, sent_at_once=False)

    @property
    def _fence(self) -> int:
        return self._sending.delivery.fence

    async def _continued(self, name: str) -> Stage | None:
        """Return the stage of an earlier attempt with what it holds; None, and no stage, if it cannot be used."""
        stage = self._sending.delivery.stage
        if stage is None:
            return None
        self._sending.tenure.check()
        if stage.final_name == name:
            found = await self._target.resume(stage)
            if found is not None and (found.is_whole or not stage.committing):
                return found if found.part_bytes else replace(found, offset=aligned(found.offset, found.length))
        await self._sending.abandon_stage()
        return None

    async def _begun(self, name: str) -> Stage:
        """Begin a stage. The record has it before the target does, and again if the target gives it an upload's id."""
        delivery = self._sending.delivery
        temporary = temporary_name(name, delivery.lease)
        length = self._sending.content.length
        planned = Stage(name=temporary, final_name=name, generation=delivery.fence, length=length)
        note = self._sending.note_upload if isinstance(self._target, KeepsUploads) else self._sending.note
        await note(leftovers=(*delivery.leftovers, temporary), stage=planned)
        self._sending.tenure.check()
        stage = await self._target.begin(planned)
        if stage != planned:
            try:
                await self._sending.note(stage=stage)
            except (GridhaulError, LeaseLost):  # no record tells the upload's id
                with suppress(GridhaulError):
                    await self._target.abandon(stage)
                raise
        return stage

    async def _written(self, stage: Stage) -> Stage:
        """Write what the stage misses. A whole stage of an earlier attempt may still have to be flushed to the disk."""
        if stage.committing:
            return stage
        sending = self._sending
        sending.meter.skip(stage.offset)
        try:
            return await sending.send(
                lambda blocks, leaving: self._target.write(
                    stage, blocks, leaving=leaving, confirmed=self._confirmed, attributes=sending.source
                ),
                offset=stage.offset,
            )
        except NotFound as gone:
            raise TargetInconsistent("What was written at the target is gone; it is sent anew.") from gone
        except GridhaulError:
            if self._unnoted is not None:
                with suppress(GridhaulError):
                    await sending.note(stage=self._unnoted)
            raise

    async def _confirmed(self, stage: Stage) -> None:
        """Note what the target has confirmed: a long list of parts four times a second, else each time."""
        now, self._unnoted = time.monotonic(), stage
        if len(stage.parts) <= NOTED_EACH_TIME or now - self._noted_at >= NOTE_SECONDS:
            await self._sending.note(stage=stage)
            self._noted_at, self._unnoted = now, None

    async def _checked(self, stage: Stage) -> Evidence | None:
        """Return how the stage's bytes are known to be right; None if only the committed object can be read."""
        if proof := await self._target.proof(stage):
            return proof
        if stage.upload_id is not None:
            return None
        is_ours_alone = stage.generation == self._fence
        try:
            evidence = await self._sending.sent.check(stage.name)
        except TargetMismatch:
            if is_ours_alone:
                raise
            await self._sending.abandon_stage()
            raise TargetInconsistent("What an earlier attempt had written is damaged; it is sent anew.") from None
        if evidence is Evidence.SIZE and not is_ours_alone:  # nobody has acknowledged the bytes, and nobody reads them
            await self._sending.abandon_stage()
            raise TargetInconsistent("What an earlier attempt had written cannot be checked; it is sent anew.")
        return evidence

    async def _commit(self, stage: Stage, evidence: Evidence | None) -> bool:
        """Commit the stage. Return False if the target does not tell the digests that it has proved before."""
        sending = self._sending
        await sending.require_possible()
        if evidence is Evidence.PART_DIGESTS and await self._target.proof(stage) is None:
            raise TargetInconsistent("The target's abilities have changed before the commit; it is asked again.")
        checked = await self._known_again(stage, evidence)
        changes: dict[str, Any] = {"stage": replace(stage, committing=True), "checked": checked}
        if stage.upload_id is not None:  # the object may be found wrong under its final name
            left = (*sending.delivery.leftovers, stage.final_name)
            changes |= {"final_touched": True, "replaced": sending.replaces, "leftovers": left}
        await sending.note(state=DeliveryState.COMMITTING, **changes)
        overwrite = sending.delivery.if_exists is IfExists.OVERWRITE
        sending.tenure.check()
        try:
            await (self._target.replace if overwrite else self._target.commit)(stage)
        except (ObjectExists, NotFound) as surprise:  # the commit may have succeeded; the next attempt looks first
            sending.doubt_facts()
            detail = "The target changed while the object got its final name; it is asked again."
            raise TargetInconsistent(detail) from surprise
        except TargetMismatch:
            sending.doubt_facts()
            await self._require_mark(stage)
            return False
        return True

    async def _known_again(self, stage: Stage, evidence: Evidence | None) -> CheckedObject | None:
        """Return by what a later attempt knows the checked object under its final name."""
        if evidence is None:
            return None
        if stage.upload_id is not None:
            return CheckedObject(temporary_name=stage.name, tag=mark_of(stage), evidence=evidence)
        return await self._sending.sent.tagged(stage.name, evidence)

    async def _is_confirmed(self, stage: Stage) -> bool:
        """Look whether the checked object has its final name. Return False if its bytes are others than were proved."""
        sending = self._sending
        try:
            if stage.upload_id is not None:
                return await self._is_upload_confirmed(stage)
            await sending.sent.confirm(stage.final_name, checked=sending.delivery.checked, replaced=sending.replaces)
        except (OutcomeUnknown, TargetUnavailable):
            sending.doubt_facts()
            raise
        return True

    async def _is_upload_confirmed(self, stage: Stage) -> bool:
        """Return False if other bytes were read of the object that the upload has become.

        The digests of the upload are proved, so its mark is enough where the object cannot be read.
        """
        sent, checked, replaced = self._sending.sent, self._sending.delivery.checked, self._sending.replaces
        try:
            await sent.confirm_bytes(stage.final_name, checked=checked, replaced=replaced)
        except OutcomeUnknown:
            await self._require_mark(stage)
        except TargetMismatch:
            await self._require_mark(stage)
            return False
        return True

    async def _require_mark(self, stage: Stage) -> None:
        """Raise TargetInconsistent if the object under the final name is not the one that the upload has become."""
        if not await self._may_carry_mark(stage):
            detail = "The target acknowledged the end of the upload, but shows another object; it is asked again."
            raise TargetInconsistent(detail) from None

    async def _may_carry_mark(self, stage: Stage) -> bool:
        """Return whether the object under the final name was the stage's upload; True also if nobody may look."""
        target = self._sending.target
        try:
            return not isinstance(target, Tagging) or await target.tag(stage.final_name) == mark_of(stage)
        except OutcomeUnknown:
            return True

    async def _read_under_final_name(self, name: str, *, sent_at_once: bool) -> Delivered:
        """Check an object whose digests the target does not tell as it has proved them. Raises TargetMismatch."""
        done = await self._checked_under_final_name(name, sent_at_once=sent_at_once)
        if done.checked is CheckedWhen.NEVER:
            raise TargetMismatch(
                "The target does not tell the digests that it has proved of the object's parts, and the object cannot "
                "be read; let the target's credentials read objects, and deliver again."
            )
        return done

    async def _checked_under_final_name(self, name: str, *, sent_at_once: bool) -> Delivered:
        """Check the committed object. A wrong one is removed only while it carries the delivery's mark."""
        sending = self._sending
        try:
            evidence = await sending.sent.check(name)
        except OutcomeUnknown:
            return Delivered(name=name, evidence=Evidence.ACKNOWLEDGED, checked=CheckedWhen.NEVER)
        except GridhaulError as error:
            await sending.take_back(name, lambda _: carries_mark(sending.delivery, sending.target, name))
            if isinstance(error, TargetMismatch) and not sent_at_once:
                raise TargetInconsistent("What an earlier attempt had sent is damaged; it is sent anew.") from None
            raise
        self._log.info("object_checked", evidence=evidence)
        return Delivered(name=name, evidence=evidence, checked=CheckedWhen.AFTER_COMMIT)

"""The stage that asks the targets for the objects that were delivered, and marks deliveries whose object is lost."""

from collections import Counter
from dataclasses import dataclass, field

from gridhaul.transfer.checks import Cursor, Mode
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError, OutcomeUnknown, TargetRefused
from gridhaul.transfer.findings import Finding, FindingCode, SkipReason
from gridhaul.transfer.model import Delivery, Failure
from gridhaul.transfer.states import FileState
from tasks.checking.examination import Examination
from tasks.checking.remote_objects import Fault, RemoteObjects, fault_of, name_of
from tasks.checking.tally import ObjectCounts
from tasks.runtime import Runtime

DELIVERIES_A_STEP = 10  # Each delivery costs at least one request to its target.
READ_A_STEP_BYTES = 64 << 20  # A step ends after the object that brings it to this many bytes.
REFUSALS_AT_MOST = 10  # of one target, in one slice
LOOKS = 2  # A delivery that wrote to the name during the first look is over by the second, or still holds the name.
DELIVER_AGAIN = "The object was right when it was delivered; a retry of the delivery sends it again."
NOT_MARKED = "The object was right when it was delivered; a check that is no dry run marks it for a retry."
NO_BYTES = "The object was right when it was delivered; its file is no longer stored, so its source must be sent anew."


@dataclass(kw_only=True, slots=True)
class _Slice:
    """The targets that a slice of the check need not ask again, and how often each refused."""

    silent: set[str] = field(default_factory=set)  # targets that are not asked again
    refusals: Counter[str] = field(default_factory=Counter)  # objects that each target refused to show


class ObjectsExaminer:
    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._runtime = runtime
        self._examination = examination
        self._slice = _Slice()

    async def look(self, cursor: Cursor) -> Cursor | None:
        of_file = self._examination.file.id if self._examination.file else None
        objects, step = self._runtime.checking.objects, _Step(self._runtime, self._examination, self._slice)
        deliveries = await objects.delivered(after=cursor.after, of_file=of_file, limit=DELIVERIES_A_STEP)
        for delivery in deliveries:
            await step.judge(delivery)
            cursor = Cursor(stage=cursor.stage, after=delivery.id)
            if step.remote.read_bytes >= READ_A_STEP_BYTES:
                break
        self._examination.tally.objects_done(step.counts, read_bytes=step.remote.read_bytes)
        return cursor if deliveries else None


class _Step:
    """The judgements of one step, and their counts."""

    def __init__(self, runtime: Runtime, examination: Examination, of_slice: _Slice) -> None:
        self._objects = runtime.checking.objects
        self._files = runtime.files
        self._examination = examination
        self._slice = of_slice
        self.remote = RemoteObjects(runtime, examination.meter, read_all=examination.check.read_targets)
        self.counts = ObjectCounts()

    async def judge(self, delivery: Delivery) -> None:
        """Judge the delivery's object, and count it as checked or as skipped. Raises DatabaseUnavailable."""
        reason = SkipReason.TARGET_SILENT if delivery.target in self._slice.silent else await self._judge(delivery)
        if reason is None:
            self.counts.checked += 1
        else:
            self.counts.skipped[reason.value] += 1

    async def _judge(self, delivery: Delivery) -> SkipReason | None:
        try:
            return await self._compare(delivery)
        except OutcomeUnknown:  # the target does not tell what it holds, or gives it back only in another form
            return SkipReason.NOT_TOLD
        except TargetRefused as refusal:
            self._refuse(delivery, refusal)
            return SkipReason.REFUSED
        except DatabaseUnavailable:
            raise
        except GridhaulError as error:
            self._silence(delivery.target, error)
            return SkipReason.TARGET_SILENT

    def _refuse(self, delivery: Delivery, refusal: GridhaulError) -> None:
        """Count the refusal of one object. After some of them, of credentials for example, the target is left alone."""
        finding = Finding(
            code=FindingCode.TARGET_SILENT,
            detail=refusal.detail,
            delivery_id=delivery.id,
            target=delivery.target,
            name=name_of(delivery),
        )
        self._examination.give_up(finding, "The object was not checked.")
        self._slice.refusals[delivery.target] += 1
        if self._slice.refusals[delivery.target] == REFUSALS_AT_MOST:
            self._slice.silent.add(delivery.target)

    def _silence(self, target: str, error: GridhaulError) -> None:
        self._slice.silent.add(target)
        finding = Finding(code=FindingCode.TARGET_SILENT, detail=error.detail, target=target)
        self._examination.give_up(finding, "Its objects were not checked.")

    async def _compare(self, delivery: Delivery) -> SkipReason | None:
        """Compare the object with its delivery. Return None once this is done, else why it cannot be done."""
        fault: Fault | None = None
        for _ in range(LOOKS):
            if reason := await self._why_not_ours(delivery):
                return reason
            found = await self.remote.look(delivery)
            fault = fault_of(delivery, found)
            if fault is None:
                self.counts.unread += not (found and found.sha256)
                await self._note(delivery, None)
                return None
        return await self._why_not_ours(delivery) or await self._report(delivery, fault)

    async def _why_not_ours(self, delivery: Delivery) -> SkipReason | None:
        reason = await self._objects.why_not_ours(delivery)
        if reason is SkipReason.REPLACED:  # the object is not lost, so a retry must not put it over the later one
            await self._note(delivery, None)
        return reason

    async def _report(self, delivery: Delivery, fault: Fault | None) -> SkipReason | None:
        """Mark the delivery, and count the finding, unless the delivery has changed meanwhile."""
        assert fault is not None, "only a fault is reported"  # noqa: S101
        code, detail = fault
        if not await self._note(delivery, Failure(code=code.value, detail=detail)):
            return SkipReason.CHANGED
        finding = Finding(
            code=code,
            detail=detail,
            file_id=delivery.file_id,
            delivery_id=delivery.id,
            target=delivery.target,
            name=name_of(delivery),
        )
        file = await self._files.get(delivery.file_id)
        is_stored = file is not None and file.state is FileState.STORED
        marked = self._examination.check.mode is not Mode.DRY_RUN
        again = DELIVER_AGAIN if marked else NOT_MARKED
        self._examination.give_up(finding, again if is_stored else NO_BYTES)
        return None

    async def _note(self, delivery: Delivery, error: Failure | None) -> bool:
        """Write the error to the delivery, except in a dry run. Return False if the delivery has changed meanwhile."""
        if self._examination.check.mode is Mode.DRY_RUN or (error is None and delivery.object_error is None):
            return True
        return await self._objects.note_object(delivery, error)

"""The journey of a check, done slice after slice, so that no other task of the worker has to wait for its end."""

import time
from collections.abc import Callable, Mapping

from gridhaul.transfer.checks import RUNNABLE, Check, CheckState, Cursor, Stage
from gridhaul.transfer.errors import NotFound
from gridhaul.transfer.model import Hint, RecordId, TaskName
from tasks.attempt import Meter
from tasks.celery import app
from tasks.checking.contents import ContentsExaminer
from tasks.checking.examination import Examination, Examiner
from tasks.checking.leftovers import LeftoversExaminer
from tasks.checking.objects import ObjectsExaminer
from tasks.checking.orphans import OrphansExaminer, UnreferencedExaminer
from tasks.checking.records import FilesExaminer, StalledRecordsExaminer
from tasks.checking.tally import Tally
from tasks.checking.temporaries import TemporariesExaminer
from tasks.checking.uploads import UploadsExaminer
from tasks.checking.usage import UsageExaminer
from tasks.runtime import Runtime, worker

SLICE_SECONDS = 3.0  # the longest time that a waiting file may have to wait for a check
PACED_SECONDS = 10.0  # at a limited rate, one slice reads at most the bytes that the rate allows in this time


@app.task(name=TaskName.RUN_CHECK)
def run_check(check_id: str) -> None:
    """Run the journey `check_some` for the check id in the message."""
    worker.run(check_some, check_id)


async def check_some(runtime: Runtime, check_id: str) -> None:
    """Claim the check and do its next slice. Do nothing if the claim fails."""
    check = await runtime.checking.checks.claim(
        RecordId(check_id), holder=runtime.holder, from_states=RUNNABLE, to_state=CheckState.RUNNING
    )
    if check is not None:
        tally = Tally(check)
        meter = Meter(0, tally.fields)
        await runtime.checking.attempts.run(check, lambda _: _slice(runtime, check, tally, meter), meter)


async def _slice(runtime: Runtime, check: Check, tally: Tally, meter: Meter) -> None:
    file = await runtime.files.get(check.file_id) if check.file_id else None
    if check.file_id and file is None:  # without the file, the check would look at everything
        raise NotFound("There is no such file.")
    examination = Examination(check=check, file=file, tally=tally, meter=meter)
    if tally.total_bytes is None:
        totals = await runtime.checking.inspection.totals(file.content_id if file else None)
        tally.total_contents, tally.total_bytes = totals
    pace = _Pace(check.bytes_per_second)
    examiners: dict[Stage, Examiner] = {}
    while tally.cursor is not None:
        stage = tally.cursor.stage
        if stage not in examiners:
            examiners[stage] = EXAMINERS[stage](runtime, examination)
        await _step(examiners[stage], tally, tally.cursor, meter)
        if tally.cursor is not None and pace.used_up(meter.position):  # a check that is done needs no other slice
            await _go_on_later(runtime, check, tally, meter, pace.rest_seconds(meter.position))
            return
    await runtime.checking.checks.finish(check.lease, CheckState.DONE, **tally.fields(meter), rate=meter.rate)


async def _step(examiner: Examiner, tally: Tally, cursor: Cursor, meter: Meter) -> None:
    before = tally.checked_bytes
    tally.move_on(await examiner.look(cursor))
    meter.checked = 0  # the tally has counted what the step has read at targets
    meter.add(tally.checked_bytes - before)


async def _go_on_later(runtime: Runtime, check: Check, tally: Tally, meter: Meter, seconds: float) -> None:
    fields = {**tally.fields(meter), "rate": meter.rate}
    if seconds > 0:
        await runtime.checking.checks.release(check.lease, CheckState.RUNNING, delay_seconds=seconds, **fields)
        return
    await runtime.checking.checks.pause(check.lease, **fields)
    runtime.hints.offer(Hint(task=TaskName.RUN_CHECK, record_id=check.id, queue=check.queue))


class _Pace:
    """The end of a slice: after its time limit, or after enough bytes that a pause must keep the check's rate."""

    def __init__(self, bytes_per_second: int | None) -> None:
        self._bytes_per_second = bytes_per_second
        self._began = time.monotonic()

    def used_up(self, checked_bytes: int) -> bool:
        over = time.monotonic() - self._began >= SLICE_SECONDS
        return over or self._seconds_due(checked_bytes) >= PACED_SECONDS

    def rest_seconds(self, checked_bytes: int) -> float:
        return max(0.0, self._seconds_due(checked_bytes) - (time.monotonic() - self._began))

    def _seconds_due(self, checked_bytes: int) -> float:
        """Return the seconds that reading this many bytes takes at the check's rate; 0 without a rate."""
        return checked_bytes / self._bytes_per_second if self._bytes_per_second else 0.0


EXAMINERS: Mapping[Stage, Callable[[Runtime, Examination], Examiner]] = {
    Stage.FILES: FilesExaminer,
    Stage.CONTENTS: ContentsExaminer,
    Stage.STALLED: StalledRecordsExaminer,
    Stage.UNREFERENCED: UnreferencedExaminer,
    Stage.CHUNKS: OrphansExaminer,
    Stage.INLINE: OrphansExaminer,
    Stage.MANIFESTS: OrphansExaminer,
    Stage.BUCKET_FILES: OrphansExaminer,
    Stage.OBJECTS: ObjectsExaminer,
    Stage.LEFTOVERS: LeftoversExaminer,
    Stage.TEMPORARIES: TemporariesExaminer,
    Stage.UPLOADS: UploadsExaminer,
    Stage.USAGE: UsageExaminer,
}

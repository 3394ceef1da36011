"""Plans a batch: looks what it would do, and changes nothing but the batch's own record."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gridhaul.source.found import Found
from gridhaul.source.roots import Roots
from gridhaul.transfer.batch_counts import count_batch
from gridhaul.transfer.batches import LARGEST_KEPT, Batch, BatchState, BatchTarget, Plan, PlannedFile, Skipped
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError, ListGone
from gridhaul.transfer.model import Failure, IfExists
from gridhaul.transfer.ports.targets import LooksTogether, TellsRoom
from gridhaul.transfer.skipping import SkipReason
from tasks.attempt import AFTER_PROGRESS, Meter, Tenure
from tasks.batches.finding import SLICE_SECONDS, Finding, name_clash
from tasks.batches.waking import hint_batch
from tasks.delivering.look_together import Looks
from tasks.runtime import Runtime


async def plan_some(runtime: Runtime, batch: Batch, tenure: Tenure, meter: Meter) -> None:
    """Plan for a slice of time. Then the batch is due again, or PLANNED if every source was gone through."""
    planner = _Planner(runtime, batch)
    finding = Finding(runtime, batch, tenure, planner, meter)
    error = None
    try:
        await finding.run(until=time.monotonic() + SLICE_SECONDS)
    except ListGone as gone:
        error = Failure(code=gone.code, detail=gone.detail)
    if error is None and finding.position is not None:
        changes = {**finding.fields(), **AFTER_PROGRESS}
        await runtime.batches.records.release(batch.lease, BatchState.PLANNING, delay_seconds=0, **changes)
        hint_batch(runtime, batch.id)
        return
    await planner.look_at_rooms()
    # An attempt after the names were forgotten must not go through the sources again: it would miss clashes.
    await runtime.batches.records.renew(batch.lease, **finding.fields())
    await runtime.batches.planned_names.forget(batch.id)
    counts = await count_batch(runtime.batches.members, runtime.batches.skipped, batch.id)
    changes = {**finding.fields(), "counts": counts, "error": error}
    await runtime.batches.records.finish(batch.lease, BatchState.PLANNED, **changes)


async def begin_planned(runtime: Runtime, batch: Batch, tenure: Tenure) -> None:
    """Forget what planning skipped: registering looks at every source again. Raises LeaseLost."""
    tenure.check()  # a later owner of the batch may have noted paths that must stay
    await runtime.batches.skipped.forget(batch.id)
    await runtime.batches.planned_names.forget(batch.id)


class _Planner:
    """Adds up what a batch would register, and finds the names that are taken."""

    def __init__(self, runtime: Runtime, batch: Batch) -> None:
        self._runtime = runtime
        self._batch = batch
        self._plan = batch.plan or Plan()
        self._looks: dict[str, Looks | None] = {}

    def fields(self) -> dict[str, object]:
        return {"plan": self._plan}

    async def take(self, found: Sequence[Found], *, roots: Roots) -> Sequence[Skipped]:
        clashing = await self._clashing(found)
        wanted = [one for one in found if one.path not in clashing]
        largest = [*self._plan.largest, *(PlannedFile(path=one.path, length=one.identity.size) for one in wanted)]
        self._plan = replace(
            self._plan,
            files=self._plan.files + len(wanted),
            bytes=self._plan.bytes + sum(one.identity.size for one in wanted),
            largest=tuple(sorted(largest, key=lambda one: -one.length)[:LARGEST_KEPT]),
        )
        skipped = [name_clash(one.path, one.name) for one in found if one.path in clashing]
        for target in self._batch.deliver_to:
            skipped += await self._existing(target, wanted)
        return skipped

    async def look_at_rooms(self) -> None:
        """Note what the quota and the targets leave."""
        free = await self._runtime.usage.free_bytes(self._batch.owner)
        rooms: dict[str, int] = {}
        for wanted in self._batch.deliver_to:
            room = await self._room(wanted.target)
            if room is not None:
                rooms[wanted.target] = room
        self._plan = replace(self._plan, quota_free_bytes=free, target_free_bytes=rooms)

    async def _clashing(self, found: Sequence[Found]) -> frozenset[str]:
        """Return the paths whose name another path has. Beneath one source no two files have one name."""
        if len(self._batch.sources) == 1:
            return frozenset()
        return await self._runtime.batches.planned_names.add(self._batch.id, {one.path: one.name for one in found})

    async def _existing(self, wanted: BatchTarget, found: Sequence[Found]) -> list[Skipped]:
        """Count the names at which something stands at the target. Return their paths if that makes deliveries fail."""
        try:
            looks = await self._looks_at(wanted.target)
            taken = await looks.at(wanted.object_name(one.name) for one in found) if looks is not None else {}
        except DatabaseUnavailable:
            raise  # the target is not to blame, and the attempt is repeated
        except GridhaulError as error:
            self._note_error(wanted.target, error)
            return []
        if looks is not None:
            self._note_existing(wanted.target, len(taken))
        if wanted.if_exists is not IfExists.FAIL:
            return []
        return [_name_exists(one, wanted.target) for one in found if wanted.object_name(one.name) in taken]

    async def _looks_at(self, name: str) -> Looks | None:
        """Return the looks at the target; None if it cannot be looked at together, or was not probed yet."""
        if name not in self._looks:
            target = await self._runtime.targets.get(name)
            ready = await self._runtime.targets.is_ready(target)
            self._looks[name] = Looks(target) if ready and isinstance(target, LooksTogether) else None
        return self._looks[name]

    async def _room(self, name: str) -> int | None:
        try:
            target = await self._runtime.targets.get(name)
            return await target.free_bytes() if isinstance(target, TellsRoom) else None
        except DatabaseUnavailable:
            raise  # as in `_existing`
        except GridhaulError as error:
            self._note_error(name, error)
            return None

    def _note_existing(self, target: str, count: int) -> None:
        existing: Mapping[str, int] = self._plan.existing or {}
        self._plan = replace(self._plan, existing={**existing, target: existing.get(target, 0) + count})

    def _note_error(self, target: str, error: GridhaulError) -> None:
        errors: Mapping[str, Failure] = self._plan.errors or {}
        noted = {**errors, target: Failure(code=error.code, detail=error.detail)}
        self._plan = replace(self._plan, errors=noted)


def _name_exists(found: Found, target: str) -> Skipped:
    detail = f"Something stands at {target} under the name of the file."
    return Skipped(path=found.path, reason=SkipReason.NAME_EXISTS, detail=detail)

"""Registers the files of a batch: charges the quota, and writes records in bulk. A path is registered only once."""

import itertools
import time
from collections.abc import Sequence

from gridhaul.source.found import Found
from gridhaul.source.roots import Roots
from gridhaul.transfer.batches import Batch, BatchState, Position, Skipped
from gridhaul.transfer.errors import ListGone, QuotaExceeded
from gridhaul.transfer.media_types import media_type
from gridhaul.transfer.model import (
    Destination,
    Failure,
    NewFile,
    Queue,
)
from gridhaul.transfer.origins import ServerPath
from tasks.attempt import AFTER_PROGRESS, Meter, Tenure
from tasks.batches.finding import SLICE_SECONDS, Finding, name_clash
from tasks.batches.planning import begin_planned
from tasks.batches.waking import hint_batch, wake_lanes
from tasks.runtime import Runtime


async def register_some(runtime: Runtime, batch: Batch, tenure: Tenure, meter: Meter) -> None:
    """Register files for a slice of time. Then the batch is due again, or RUNNING if everything is registered."""
    if batch.plan is not None and batch.position == Position(source=0):
        await begin_planned(runtime, batch, tenure)
    finding = Finding(runtime, batch, tenure, _Registrar(runtime, batch), meter)
    error = None
    try:
        await finding.run(until=time.monotonic() + SLICE_SECONDS)
    except (QuotaExceeded, ListGone) as refusal:
        error = Failure(code=refusal.code, detail=refusal.detail)
    done = finding.position is None or error is not None
    state = BatchState.RUNNING if done else BatchState.REGISTERING
    changes = {**finding.fields(), "error": None, "ended_early": error, **AFTER_PROGRESS}
    await runtime.batches.records.release(batch.lease, state, delay_seconds=0, **changes)
    hint_batch(runtime, batch.id)


class _Registrar:
    """Registers the files that are found, and wakes the lanes that they are in."""

    def __init__(self, runtime: Runtime, batch: Batch) -> None:
        self._runtime = runtime
        self._batch = batch

    def fields(self) -> dict[str, object]:
        return {}

    async def take(self, found: Sequence[Found], *, roots: Roots) -> Sequence[Skipped]:
        """Register the files. Raises QuotaExceeded."""
        new = [self._new_file(one, str(roots.holding(one.path))) for one in found]
        skipped = await self._insert(new)
        await wake_lanes(self._runtime, self._batch, {one.queue for one in new})
        return skipped

    async def _insert(self, found: Sequence[NewFile]) -> list[Skipped]:
        """Register the files. Return those that cannot be registered because another file has the name.

        Raises QuotaExceeded after it has registered the files that still fit, one after the other.
        """
        members = self._runtime.batches.members
        there = await members.registered_paths(self._batch.id, [one.source.path for one in found])
        new = [one for one in found if one.source.path not in there]
        try:
            return await self._insert_charged(new)
        except QuotaExceeded:
            free = await self._runtime.usage.free_bytes(self._batch.owner) or 0
            ends = itertools.accumulate(one.length for one in new)
            await self._insert_charged(new[: sum(end <= free for end in ends)])
            raise

    async def _insert_charged(self, new: Sequence[NewFile]) -> list[Skipped]:
        members, usage = self._runtime.batches.members, self._runtime.usage
        if not new:
            return []
        await usage.charge(self._batch.owner, sum(one.length for one in new))
        refused = [one for one in await members.insert(new) if one is not None]
        if not refused:
            return []
        await usage.release(self._batch.owner, sum(one.length for one in refused))
        # A write of a worker that died may have arrived since the look.
        there = await members.registered_paths(self._batch.id, [one.source.path for one in refused])
        return [name_clash(one.source.path, one.name) for one in refused if one.source.path not in there]

    def _new_file(self, found: Found, root: str) -> NewFile:
        large = found.identity.size > self._runtime.settings.large_file_bytes
        return NewFile(
            owner=self._batch.owner,
            name=found.name,
            content_type=media_type(found.name),
            length=found.identity.size,
            origin=ServerPath(path=found.path, root=root, identity=found.identity, if_changed=self._batch.if_changed),
            expected=found.expected,
            queue=Queue.LARGE if large else Queue.SMALL,
            deliver_to=tuple(
                Destination(
                    target=wanted.target, object_name=wanted.object_name(found.name), if_exists=wanted.if_exists
                )
                for wanted in self._batch.deliver_to
            ),
            batch_id=self._batch.id,
        )

"""Registers the files of a batch: finds them beneath the roots, charges the quota, and writes records in bulk.

Registering goes on after the last path that was registered, whichever worker was lost: a path is registered only once.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from gridhaul.source.found import Found, Limits
from gridhaul.source.roots import Roots
from gridhaul.source.selection import Selection
from gridhaul.source.walk import Walk, split_pattern, walk_source
from gridhaul.transfer.batches import Batch, BatchState, Position, Skipped
from gridhaul.transfer.errors import QuotaExceeded
from gridhaul.transfer.media_types import media_type
from gridhaul.transfer.model import Destination, Failure, Hint, NewFile, Queue, TaskName
from tasks.attempt import Tenure
from tasks.runtime import Runtime

BUNCH = 1000  # files of one write
SLICE_SECONDS = 10.0  # after this time another task of the maintenance queue may run
NAME_CLASH = "name_clash"


async def register_some(runtime: Runtime, batch: Batch, tenure: Tenure) -> None:
    """Register files for a slice of time. Then the batch is due again, or RUNNING if everything is registered."""
    registering = _Registering(runtime, batch, tenure)
    error = await registering.run(until=time.monotonic() + SLICE_SECONDS)
    done = registering.position is None or error is not None
    await runtime.batches.records.release(
        batch.lease,
        BatchState.RUNNING if done else BatchState.REGISTERING,
        delay_seconds=0,
        error=error,
        fruitless_attempts=0,
        **registering.fields,
    )
    runtime.hints.offer(Hint(task=TaskName.RUN_BATCH, record_id=batch.id, queue=batch.queue))


class _Registering:
    """One slice of registering: where it stands, and what it has left out."""

    def __init__(self, runtime: Runtime, batch: Batch, tenure: Tenure) -> None:
        self._runtime = runtime
        self._batch = batch
        self._tenure = tenure
        self._selection = Selection(batch.choice)
        self.position = batch.position
        self._excluded = batch.excluded

    @property
    def fields(self) -> dict[str, object]:
        return {"position": self.position, "excluded": self._excluded}

    async def run(self, *, until: float) -> Failure | None:
        """Register bunch after bunch until everything is registered or the time has come.

        Return the error that ends registering early, or None.
        """
        while self.position is not None and time.monotonic() < until:
            try:
                await self._source(self.position, until)
            except QuotaExceeded as error:
                return Failure(code=error.code, detail=error.detail)
        return None

    async def _source(self, position: Position, until: float) -> None:
        """Register the files of one source from the position on."""
        walk = await asyncio.to_thread(self._walk, position)
        found, left_out = iter(walk), self._excluded
        while time.monotonic() < until:
            bunch = await asyncio.to_thread(lambda: list(itertools.islice(found, BUNCH)))
            await self._register(bunch)
            self._excluded = left_out + walk.excluded
            if len(bunch) < BUNCH:
                following = position.source + 1
                self.position = Position(source=following) if following < len(self._batch.sources) else None
                return
            self.position = Position(source=position.source, after=bunch[-1].path)
            await self._runtime.batches.records.renew(self._batch.lease, **self.fields)

    def _walk(self, position: Position) -> Walk:
        source = self._batch.sources[position.source]
        root = Path(self._batch.root_of[position.source])
        configured = self._runtime.settings.roots
        return walk_source(
            source,
            Roots(configured=configured, allowed=(root,)),
            name=_name(source, self._batch.base),
            selection=self._selection,
            limits=Limits(
                max_file_bytes=self._runtime.settings.max_file_bytes,
                longest_prefix=max((wanted.prefix for wanted in self._batch.deliver_to), key=len, default=""),
            ),
            after=position.after,
        )

    async def _register(self, bunch: Sequence[Found | Skipped]) -> None:
        """Charge the quota for the found files, write them, and note what is skipped. Raises QuotaExceeded."""
        new = [self._new_file(one) for one in bunch if isinstance(one, Found)]
        skipped = [one for one in bunch if isinstance(one, Skipped)]
        self._tenure.check()
        if new:
            skipped += await self._insert(new)
        if skipped:
            await self._runtime.batches.skipped.add(self._batch.id, skipped)
        if queues := {one.queue for one in new}:
            for hint in await self._runtime.batches.lanes.wake(self._batch.id, self._batch.owner, queues):
                self._runtime.hints.offer(hint)

    async def _insert(self, new: Sequence[NewFile]) -> list[Skipped]:
        """Register the files. Return those that cannot be registered because another file has the name."""
        members, usage = self._runtime.batches.members, self._runtime.usage
        await usage.charge(self._batch.owner, sum(one.length for one in new))
        refused = [one for one in await members.insert(new) if one is not None]
        if not refused:
            return []
        await usage.release(self._batch.owner, sum(one.length for one in refused))
        there = await members.registered_paths(self._batch.id, [one.path for one in refused])
        return [
            Skipped(path=one.path, reason=NAME_CLASH, detail=f"Another file of the batch has the name {one.name}.")
            for one in refused
            if one.path not in there
        ]

    def _new_file(self, found: Found) -> NewFile:
        large = found.identity.size > self._runtime.settings.large_file_bytes
        return NewFile(
            owner=self._batch.owner,
            name=found.name,
            content_type=media_type(found.name),
            length=found.identity.size,
            path=found.path,
            root=self._batch.root_of[self.position.source if self.position else 0],
            identity=found.identity,
            queue=Queue.LARGE if large else Queue.SMALL,
            deliver_to=tuple(
                Destination(
                    target=wanted.target, object_name=wanted.object_name(found.name), if_exists=wanted.if_exists
                )
                for wanted in self._batch.deliver_to
            ),
            if_changed=self._batch.if_changed,
            batch_id=self._batch.id,
        )


def _name(source: str, base: str | None) -> str:
    """Return the name of a source that is a file, and what comes before the names of the files of any other source."""
    folder, pattern = split_pattern(source)
    if base is not None:
        return f"{folder}/".removeprefix(base).strip("/")
    return "" if pattern or source.endswith("/") else PurePosixPath(source).name

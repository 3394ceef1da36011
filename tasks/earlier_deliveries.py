"""Compares what a batch finds with what was delivered before, for batches that deliver only what is new or changed."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass

from gridhaul.source.found import Found
from gridhaul.source.selection import Selection
from gridhaul.source.walk import is_asked_for, split_pattern
from gridhaul.transfer.batches import Batch, BatchTarget, Position, Skipped
from gridhaul.transfer.skipping import SkipReason, shown
from tasks.runtime import Runtime

PATHS_A_LOOK = 1000


async def new_or_changed(runtime: Runtime, batch: Batch, found: Sequence[Found]) -> list[Found]:
    """Return the files that at least one of the batch's targets does not have as they are now."""
    missing: dict[str, Found] = {}
    for wanted in batch.deliver_to:
        missing |= {one.path: one for one in await _missing_at(runtime, batch, wanted, found)}
    return [one for one in found if one.path in missing]


async def _missing_at(runtime: Runtime, batch: Batch, wanted: BatchTarget, found: Sequence[Found]) -> list[Found]:
    names = {one.path: wanted.object_name(one.name) for one in found}
    delivered = await runtime.batches.former.sources(batch.owner, wanted.target, names)
    return [one for one in found if one.path not in delivered or not delivered[one.path].matches(one.identity)]


@dataclass(frozen=True, kw_only=True, slots=True)
class VanishedPage:
    """Files of one source that were delivered before and are not there any more, as far as a look came."""

    skipped: Sequence[Skipped]
    next: Position | None  # None: every source was looked at


async def vanished(runtime: Runtime, batch: Batch, position: Position) -> VanishedPage:
    """Look whether the next files that were delivered from beneath a source are still there."""
    folder, _ = split_pattern(batch.sources[position.source])
    target = batch.deliver_to[0].target
    paths = await runtime.batches.former.paths(
        batch.owner, target, beneath=folder.rstrip("/"), after=position.after, limit=PATHS_A_LOOK
    )
    source, selection = batch.sources[position.source], Selection(batch.choice)
    asked_for = [path for path in dict.fromkeys(paths) if is_asked_for(source, path, selection)]
    gone = await asyncio.to_thread(lambda: [path for path in asked_for if not os.path.lexists(path)])
    detail = f"It was delivered to {target} before; the object there stays."
    skipped = [Skipped(path=shown(path), reason=SkipReason.VANISHED, detail=detail) for path in gone]
    return VanishedPage(skipped=skipped, next=_after(batch, position, paths))


def _after(batch: Batch, position: Position, paths: Sequence[str]) -> Position | None:
    if len(paths) == PATHS_A_LOOK:
        return Position(source=position.source, after=paths[-1], vanished=True)
    following = position.source + 1
    return Position(source=following, vanished=True) if following < len(batch.sources) else None

"""Compares what a batch finds with what was delivered before, for batches that deliver only what is new or changed."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gridhaul.source.found import Found
from gridhaul.source.presence import is_gone
from gridhaul.source.roots import Roots
from gridhaul.source.selection import Selection
from gridhaul.source.walk import AskedFor, normal, split_pattern
from gridhaul.transfer.batches import Batch, BatchTarget, Choice, Position, Skipped
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


async def vanished(runtime: Runtime, batch: Batch, position: Position, *, roots: Roots) -> VanishedPage:
    """Look whether the next files that were delivered from beneath a source are still there.

    Raises SourceReadFailed, SourceUnavailable.
    """
    source = batch.sources[position.source]
    folder, _ = split_pattern(source)
    pages: dict[str, Sequence[str]] = {}
    for target in dict.fromkeys(wanted.target for wanted in batch.deliver_to):
        pages[target] = await runtime.batches.former.paths(
            batch.owner, target, beneath=normal(folder).rstrip("/"), after=position.after, limit=PATHS_A_LOOK
        )
    # Beyond the end of a full page, its target may have more paths than were read.
    end = min((paths[-1] for paths in pages.values() if len(paths) == PATHS_A_LOOK), default=None)
    targets = _targets_by_path(pages, end)
    gone = await asyncio.to_thread(_gone, targets, source, batch.choice, roots)
    skipped = [_vanished(path, targets[path]) for path in gone]
    return VanishedPage(skipped=skipped, next=_after(batch, position, end))


def _targets_by_path(pages: Mapping[str, Sequence[str]], end: str | None) -> dict[str, list[str]]:
    """Return for each path up to `end` the targets to which it was delivered."""
    targets: dict[str, list[str]] = {}
    for target, paths in pages.items():
        for path in dict.fromkeys(paths):
            if end is None or path <= end:
                targets.setdefault(path, []).append(target)
    return targets


def _gone(paths: Iterable[str], source: str, choice: Choice, roots: Roots) -> list[str]:
    asked_for = AskedFor(source, Selection(choice))
    return [path for path in paths if asked_for.holds(path) and is_gone(path, roots)]


def _vanished(path: str, targets: Sequence[str]) -> Skipped:
    detail = f"It was delivered to {', '.join(targets)} before; what was delivered stays there."
    return Skipped(path=shown(path), reason=SkipReason.VANISHED, detail=detail)


def _after(batch: Batch, position: Position, end: str | None) -> Position | None:
    if end is not None:
        return Position(source=position.source, after=end, vanished=True)
    following = position.source + 1
    return Position(source=following, vanished=True) if following < len(batch.sources) else None

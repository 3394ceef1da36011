"""Goes through the sources of a batch, bunch after bunch, and notes how far it came and what it skipped.

It goes on after the last path that it noted, whichever worker was lost.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from gridhaul.source.bunches import Bunches
from gridhaul.source.found import Found, Limits
from gridhaul.source.listed_walk import ListedWalk, Place
from gridhaul.source.roots import Roots
from gridhaul.source.selection import Selection
from gridhaul.source.walk import Walk, normal, split_pattern, walk_source
from gridhaul.transfer.batches import Batch, Position, Skipped
from gridhaul.transfer.errors import ListGone
from gridhaul.transfer.lists import ListPage, PathList
from gridhaul.transfer.skipping import SkipReason
from tasks.attempt import AFTER_PROGRESS, Meter, Tenure
from tasks.batches.earlier_deliveries import new_or_changed, vanished
from tasks.runtime import Runtime

SLICE_SECONDS = 10.0  # after this time another task of the maintenance queue may run


class Taker(Protocol):
    """Takes the files that are found."""

    async def take(self, found: Sequence[Found], *, roots: Roots) -> Sequence[Skipped]:
        """Take the files, which lie beneath the allowed roots. Return those that cannot be taken. Repeatable."""

    def fields(self) -> dict[str, object]:
        """Return the fields of the batch that change with what was taken."""


class Finding:
    """The way through a batch's sources: where it stands, and what it has left out."""

    def __init__(self, runtime: Runtime, batch: Batch, tenure: Tenure, taker: Taker, meter: Meter) -> None:
        self._runtime = runtime
        self._batch = batch
        self._tenure = tenure
        self._taker = taker
        self._meter = meter
        self._list: PathList | None = None
        self._limits = Limits(
            max_file_bytes=runtime.settings.max_file_bytes,
            longest_prefix=max((wanted.prefix for wanted in batch.deliver_to), key=_length_bytes, default=""),
        )
        self.position = batch.position
        self._excluded = batch.excluded
        self._unchanged = batch.unchanged

    @cached_property
    def _selection(self) -> Selection:
        """Return the batch's choice. The first caller is in a thread, because patterns may take a while."""
        return Selection(self._batch.choice)

    def fields(self) -> dict[str, object]:
        """Return the fields of the batch that say how far the way has come."""
        own = {"position": self.position, "excluded": self._excluded, "unchanged": self._unchanged}
        return {**own, **self._taker.fields()}

    async def run(self, *, until: float) -> None:
        """Go on until every source was gone through, or the time has come. Raises what taking files raises."""
        through = self._source if self._batch.list_id is None else self._page
        while self.position is not None and time.monotonic() < until:
            await (self._vanished if self.position.vanished else through)(self.position, until)

    async def _source(self, position: Position, until: float) -> None:
        """Go through one source from the position on."""
        roots = self._roots(self._batch.root_of[position.source])
        walk = await asyncio.to_thread(self._walk, position, roots)

        def stand(after: str) -> Position:
            return Position(source=position.source, after=after, unmatched=walk.unmatched)

        if await self._go_through(walk, roots, stand, until=until):
            self.position = self._next_source(position)

    async def _go_through(
        self, walk: Walk | ListedWalk, roots: Roots, stand: Callable[[str], Position], *, until: float
    ) -> bool:
        """Take what the walk finds, and note where it stands. Return whether it has ended before the time came."""
        left_out = self._excluded
        with Bunches(iter(walk)) as bunches:
            while time.monotonic() < until:
                bunch = await bunches.next()
                await self._take(bunch.items, roots)
                self._excluded = left_out + walk.excluded
                if bunch.is_last:
                    return True
                await self._note(stand(bunch.after))
        return False

    def _walk(self, position: Position, roots: Roots) -> Walk:
        source = self._batch.sources[position.source]
        return walk_source(
            source,
            roots,
            name=_name(source, self._batch.base),
            selection=self._selection,
            limits=self._limits,
            after=position.after,
            unmatched=position.unmatched,
        )

    async def _page(self, position: Position, until: float) -> None:
        """Go through one page of the batch's list from the position on."""
        lists, used = self._runtime.batches.lists, await self._used_list()
        page = await lists.page(used.id, position.page)
        if page is None:
            self.position = None
            return
        roots = self._roots(*self._batch.root_of)
        walk = await asyncio.to_thread(self._listed, page, used, position, roots)

        def stand(after: str) -> Position:
            return Position(source=0, page=position.page, entry=walk.entry, after=after)

        if await self._go_through(walk, roots, stand, until=until):
            await self._note(Position(source=0, page=position.page + 1))

    async def _used_list(self) -> PathList:
        """Return the batch's list, which stays as long as the batch from now on. Raises ListGone."""
        if self._list is None and self._batch.list_id is not None:
            self._list = await self._runtime.batches.lists.keep(self._batch.list_id)
        if self._list is None:
            raise ListGone(
                "The list of the batch is gone, so no more files can be found; "
                "send the list again and start a new batch."
            )
        return self._list

    def _listed(self, page: ListPage, used: PathList, position: Position, roots: Roots) -> ListedWalk:
        return ListedWalk(
            page,
            used.format,
            roots,
            base=self._batch.base,
            selection=self._selection,
            limits=self._limits,
            place=Place(entry=position.entry, after=position.after),
        )

    def _roots(self, *allowed: str) -> Roots:
        return Roots(configured=self._runtime.settings.roots, allowed=tuple(map(Path, allowed)))

    async def _take(self, bunch: Sequence[Found | Skipped], roots: Roots) -> None:
        found = [one for one in bunch if isinstance(one, Found)]
        comparing = self._batch.update and found
        wanted = await new_or_changed(self._runtime, self._batch, found) if comparing else found
        unchanged = await self._count_unchanged(found, wanted)
        skipped = [one for one in bunch if isinstance(one, Skipped)]
        self._tenure.check()
        if wanted:
            skipped += await self._taker.take(wanted, roots=roots)
        await self._skip(skipped)
        self._unchanged += unchanged  # added last: if a call above fails, the bunch is taken again

    async def _count_unchanged(self, found: Sequence[Found], wanted: Sequence[Found]) -> int:
        """Return how many files were left out.

        A file that an earlier attempt registered may have arrived since. It was not left out.
        """
        paths = {one.path for one in found} - {one.path for one in wanted}
        there = await self._runtime.batches.members.registered_paths(self._batch.id, paths) if paths else ()
        return len(paths) - len(there)

    async def _skip(self, skipped: Sequence[Skipped]) -> None:
        if skipped:
            await self._runtime.batches.skipped.add(self._batch.id, skipped)

    def _next_source(self, position: Position) -> Position | None:
        following = position.source + 1
        if following < len(self._batch.sources):
            return Position(source=following)
        return Position(source=0, vanished=True) if self._batch.update else None

    async def _vanished(self, position: Position, _: float) -> None:
        """List the files that were delivered before and are not there any more."""
        roots = self._roots(self._batch.root_of[position.source])
        page = await vanished(self._runtime, self._batch, position, roots=roots)
        self._tenure.check()
        await self._skip(page.skipped)
        await self._note(page.next)

    async def _note(self, position: Position | None) -> None:
        self.position = position
        self._meter.step()
        await self._runtime.batches.records.renew(self._batch.lease, **self.fields(), **AFTER_PROGRESS)


def name_clash(path: str, name: str) -> Skipped:
    """Return the path as skipped, because another file of its batch has its name."""
    detail = f"Another file of the batch has the name {name}."
    return Skipped(path=path, reason=SkipReason.NAME_CLASH, detail=detail)


def _length_bytes(text: str) -> int:
    return len(text.encode())


def _name(source: str, base: str | None) -> str:
    """Return the name of a source that is a file, and what comes before the names of the files of any other source."""
    folder, pattern = split_pattern(source)
    if base is not None:
        return f"{normal(folder)}/".removeprefix(f"{normal(base).rstrip('/')}/").strip("/")
    return "" if pattern or source.endswith("/") else PurePosixPath(source).name

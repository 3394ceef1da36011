"""A twin of the lists and manifests that clients send."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from operator import attrgetter

from gridhaul.transfer.batches import AT_ITS_END, Batch
from gridhaul.transfer.lists import ListPage, NewList, PathList
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.lists import ListIntake, UsedLists
from tests.contracts.memory_registry import Row, new_id, wall_clock


@dataclass(slots=True)
class _Kept:
    """Pages of a list, and when they go away by themselves; None: never."""

    pages: dict[int, ListPage]
    until: float | None
    record: PathList | None = None


class MemoryPathLists:
    """A twin of `transfer.ports.lists.ListIntake` and `UsedLists`."""

    def __init__(self, batches: Mapping[RecordId, Row[Batch]], *, kept_seconds: float = 86400.0) -> None:
        self._batches = batches
        self._kept_seconds = kept_seconds
        self._lists: dict[RecordId, _Kept] = {}

    def new_id(self) -> RecordId:
        return new_id()

    async def add_page(self, list_id: RecordId, number: int, page: ListPage) -> None:
        kept = self._lists.setdefault(list_id, _Kept(pages={}, until=self._end()))
        kept.pages[number] = page

    async def register(self, list_id: RecordId, new: NewList) -> PathList:
        now = wall_clock()
        values = {name: getattr(new, name) for name in NewList.__slots__}
        expires_at = now + timedelta(seconds=self._kept_seconds)
        kept = self._lists.setdefault(list_id, _Kept(pages={}, until=None))
        kept.until = self._end()
        kept.record = PathList(id=list_id, created_at=now, expires_at=expires_at, **values)
        return kept.record

    async def get(self, list_id: RecordId) -> PathList | None:
        kept = self._there().get(list_id)
        return kept.record if kept else None

    async def count_unused(self, owner: str, *, limit: int) -> int:
        records = [kept.record for kept in self._there().values() if kept.until is not None]
        return min(limit, sum(1 for record in records if record is not None and record.owner == owner))

    async def newest(self, *, owner: str | None, limit: int, before: RecordId | None) -> Sequence[PathList]:
        records = [kept.record for kept in self._there().values() if kept.record is not None]
        wanted = [one for one in records if owner in (None, one.owner) and (before is None or one.id < before)]
        return sorted(wanted, key=attrgetter("id"), reverse=True)[:limit]

    async def forget(self, list_id: RecordId) -> None:
        self._lists.pop(list_id, None)

    async def forget_unused(self, list_id: RecordId) -> bool:
        kept = self._there().get(list_id)
        is_unused = kept is not None and kept.record is not None and kept.until is not None
        if is_unused:
            await self.forget(list_id)
        return is_unused

    async def keep(self, list_id: RecordId) -> PathList | None:
        kept = self._there().get(list_id)
        if kept is None or kept.record is None or len(kept.pages) != kept.record.pages:
            return None
        kept.until, kept.record = None, replace(kept.record, expires_at=None)
        return kept.record

    async def page(self, list_id: RecordId, number: int) -> ListPage | None:
        kept = self._there().get(list_id)
        return kept.pages.get(number) if kept else None

    async def release(self, list_id: RecordId, batch_id: RecordId) -> None:
        records = (row.record for row in self._batches.values())
        others = (one for one in records if one.list_id == list_id and one.id != batch_id)
        if all(one.state in AT_ITS_END for one in others):
            await self.forget(list_id)

    def _end(self) -> float:
        return time.monotonic() + self._kept_seconds

    def _there(self) -> Mapping[RecordId, _Kept]:
        now = time.monotonic()
        return {list_id: kept for list_id, kept in self._lists.items() if kept.until is None or kept.until > now}


def _check(lists: MemoryPathLists) -> None:
    """Let the type checker see that the twin has the methods of its ports."""
    _: tuple[ListIntake, UsedLists] = (lists, lists)

"""Looks at the names of many objects at once: one listing for each folder, or a look at each name."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Protocol

from gridhaul.transfer.errors import NotAnObject
from gridhaul.transfer.model import FolderEntry
from gridhaul.transfer.ports.targets import LooksTogether, Target

ENTRIES_PER_NAME = 50  # a look at one name costs about as much as this many entries of a listing


class LookingTarget(Target, LooksTogether, Protocol):
    """The abilities of a target that is looked at."""


class Looks:
    """Looks at one target. A folder that once was not listed is not asked for again."""

    def __init__(self, target: LookingTarget) -> None:
        self._target = target
        self._not_listed: set[str] = set()

    async def at(self, names: Iterable[str]) -> Mapping[str, FolderEntry]:
        """Return what stands under the names. Nothing stands under a name that is left out.

        A name may also be left out because the server lists it in another form, or never, as some do with hidden names.
        """
        folders: dict[str, list[str]] = defaultdict(list)
        for name in names:
            folders[name.rpartition("/")[0]].append(name)
        found: dict[str, FolderEntry] = {}
        for folder, wanted in folders.items():
            found |= await self._in_folder(folder, wanted)
        return found

    async def _in_folder(self, folder: str, names: list[str]) -> Mapping[str, FolderEntry]:
        listed = None
        if folder not in self._not_listed:
            listed = await self._target.entries(folder, at_most=len(names) * ENTRIES_PER_NAME)
        if listed is None:
            self._not_listed.add(folder)
            entries = await asyncio.gather(*map(self._look, names))
        else:
            entries = [listed.get(name.rpartition("/")[2]) for name in names]
        return {name: entry for name, entry in zip(names, entries, strict=True) if entry is not None}

    async def _look(self, name: str) -> FolderEntry | None:
        try:
            found = await self._target.find(name, length=0)
        except NotAnObject:
            return FolderEntry(is_object=False)
        return None if found is None else FolderEntry(is_object=True, length=found.length)

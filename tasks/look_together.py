"""A look at the names of many objects at once: one listing for each folder, or a look at each name."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping

from gridhaul.transfer.errors import NotAnObject
from gridhaul.transfer.model import FolderEntry
from gridhaul.transfer.ports.targets import LooksTogether, Target

ENTRIES_PER_NAME = 50  # a look at one name costs about as much as this many entries of a listing


async def entries_under(target: Target, names: Iterable[str]) -> Mapping[str, FolderEntry]:
    """Return what stands under the names at the target. Nothing stands under a name that is left out.

    A name may also be left out if a server lists it in another form, or not at all, as some do with hidden names.
    """
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folders[name.rpartition("/")[0]].append(name)
    found: dict[str, FolderEntry] = {}
    for folder, wanted in folders.items():
        found |= await _in_folder(target, folder, wanted)
    return found


async def _in_folder(target: Target, folder: str, names: list[str]) -> Mapping[str, FolderEntry]:
    listed = None
    if isinstance(target, LooksTogether):
        listed = await target.entries(folder, at_most=len(names) * ENTRIES_PER_NAME)
    if listed is None:
        looks = await asyncio.gather(*(_look(target, name) for name in names))
        return {name: entry for name, entry in zip(names, looks, strict=True) if entry is not None}
    last = {name: name.rpartition("/")[2] for name in names}
    return {name: listed[last[name]] for name in names if last[name] in listed}


async def _look(target: Target, name: str) -> FolderEntry | None:
    try:
        found = await target.find(name, length=0)
    except NotAnObject:
        return FolderEntry(is_object=False)
    return None if found is None else FolderEntry(is_object=True, length=found.length)

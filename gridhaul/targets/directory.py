"""A target that is a directory of this machine, local or mounted."""

import os
import stat
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from pathlib import Path

from gridhaul.process import threads
from gridhaul.targets.abilities import abilities_in
from gridhaul.targets.attributes import attributes_of, set_mtime, set_permissions
from gridhaul.targets.beneath import (
    Root,
    make_folder,
    open_file,
    open_folder,
    rename_after_look,
    rename_new,
    sync_file,
    sync_folder,
)
from gridhaul.targets.file_system import scratch_files, try_abilities
from gridhaul.targets.marker import adopt_marker, is_marker, make_marker, require_marker
from gridhaul.targets.names import split_name
from gridhaul.targets.open_files import hash_some, told_free, write_at
from gridhaul.targets.os_errors import in_thread, mapped_os_errors
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.digest import ContentDigest, fingerprint
from gridhaul.transfer.errors import NotFound, ObjectExists, TargetInconsistent, TargetUnavailable
from gridhaul.transfer.model import Evidence, FolderEntry, RemoteObject, Stage
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import BeforeWriting, Blocks, Checked, Confirmed, Facts, Leaving

NAMES_AT_ONCE = 1000
DAY_SECONDS = 86_400.0


class DirectoryTarget:
    """See `transfer.ports.targets`: `Target`, `Staging`, `KeepsAttributes`, `Listing`, `LooksTogether` and `Probed`.

    `write`, `commit` and `replace` return only when their result is on the disk, if the file system can flush.
    The facts hold the id of the marker at the top of the directory. With them, each method opens the top, looks for the
    marker through that descriptor, and goes on from it. So no method touches the disk beneath an unmounted one.
    """

    facts_last_seconds = DAY_SECONDS

    def __init__(self, *, name: str, path: Path, keep_mode: bool = False, allow_overwrite_race: bool = False) -> None:
        self.name = name
        self.fingerprint = directory_fingerprint(path)
        self.allow_overwrite_race = allow_overwrite_race
        self.facts_outdated = False
        self.abilities = Abilities()
        self._path = path
        self._keep_mode = keep_mode
        self._root = Root(path=path, check=self._check_marker)
        self._marker: str | None = None

    async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
        marker = await in_thread(self._marker_there)
        await before_writing()
        if marker is None:
            marker = await in_thread(self._make_marker, _temporary_marker(scratch))
        return {"marker": marker, **asdict(await in_thread(self._try_abilities, scratch))}

    async def clear(self, scratch: str) -> None:
        await self.remove(_temporary_marker(scratch))
        for name in scratch_files(scratch):
            await self.remove(name)

    def rely_on(self, facts: Facts) -> bool:
        marker = facts.get("marker") if isinstance(facts, Mapping) else None
        if not isinstance(marker, str) or not is_marker(marker):
            return False
        abilities = abilities_in(facts)
        if abilities is None or not abilities.atomic:
            self._marker = self._marker or marker  # the probe must find the disk that these facts are of
            return False
        self._marker, self.abilities = marker, abilities
        return True

    def location(self, name: str) -> str:
        return str(self._path.joinpath(*name.split("/")))

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        with ExitStack() as opened:
            descriptor = await in_thread(self._open, name, opened)
            if descriptor is None:
                return None
            status = await in_thread(os.fstat, descriptor)
            return RemoteObject(length=status.st_size, sha256="", evidence=Evidence.SIZE)

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        with ExitStack() as opened:
            descriptor = await in_thread(self._open, name, opened)
            if descriptor is None:
                return None
            total = ContentDigest()
            while await in_thread(hash_some, descriptor, total):
                checked(total.length_bytes)
        return RemoteObject(length=total.length_bytes, sha256=total.hexdigest(), evidence=Evidence.READ_BACK)

    async def begin(self, stage: Stage) -> Stage:
        """Return the stage as it is: `write` makes the temporary object."""
        return stage

    async def resume(self, stage: Stage) -> Stage | None:
        """Return the stage with the length of its file. Only writes in their order have made the file that long."""
        found = await self.find(stage.name, length=stage.length)
        if found is None or found.length is None or found.length > stage.length:
            return None
        resumed = replace(stage, offset=found.length)
        return resumed if resumed.is_whole or self.abilities.resumable else None

    async def write(
        self,
        stage: Stage,
        blocks: Blocks,
        *,
        leaving: Leaving,
        confirmed: Confirmed,
        attributes: Attributes | None = None,
    ) -> Stage:
        """When cancelled, this still waits for the system call that is under way. Nothing is confirmed before the end.

        The length of the file tells how much of it is written (`resume`).
        """
        write = partial(self._write, stage, blocks, leaving=leaving, attributes=attributes)
        await threads.in_thread(write, when_cancelled=blocks.stop)
        return replace(stage, offset=stage.length)

    async def proof(self, stage: Stage) -> Evidence | None:
        """Return None: the object is read back."""
        return None

    async def attributes(self, name: str) -> Attributes | None:
        with ExitStack() as opened:
            descriptor = await in_thread(self._open, name, opened)
            return None if descriptor is None else await in_thread(attributes_of, descriptor)

    async def remove(self, name: str) -> None:
        await in_thread(self._remove, name)

    async def commit(self, stage: Stage) -> None:
        await in_thread(self._commit, stage.name, stage.final_name)

    async def replace(self, stage: Stage) -> None:
        await in_thread(self._replace, stage.name, stage.final_name)

    async def abandon(self, stage: Stage) -> None:
        await self.remove(stage.name)

    async def names(self, folder: str) -> AsyncGenerator[str]:
        parts = tuple(folder.split("/")) if folder else ()
        with ExitStack() as opened:
            entries = await in_thread(self._entries, parts, opened)
            while some := await in_thread(_some_names, entries):
                for name in some:
                    yield name

    async def entries(self, folder: str, *, at_most: int) -> Mapping[str, FolderEntry] | None:
        parts = tuple(folder.split("/")) if folder else ()
        with ExitStack() as opened:
            found = await in_thread(lambda: _some_entries(self._entries(parts, opened), at_most + 1))
        return found if len(found) <= at_most else None

    async def free_bytes(self) -> int | None:
        return await in_thread(self._free_bytes)

    async def commit_unseen(self, stage: Stage) -> None:
        await self.commit(stage)

    async def close(self) -> None:
        """Do nothing: the target keeps nothing open."""

    def _free_bytes(self) -> int:
        """Return what a process without privileges may still write."""
        with mapped_os_errors(), open_folder(self._root, ()) as top:
            self._check_marker(top)
            space = os.fstatvfs(top)
        return space.f_bavail * space.f_frsize

    def _check_marker(self, folder: int) -> None:
        if self._marker is not None:
            require_marker(folder, self._marker)

    def _marker_there(self) -> str | None:
        with open_folder(self._root, ()) as top:
            return adopt_marker(top)

    def _make_marker(self, temporary: str) -> str:
        with open_folder(self._root, ()) as top:
            return make_marker(top, temporary)

    def _try_abilities(self, scratch: str) -> Abilities:
        with open_folder(self._root, ()) as top:
            return try_abilities(top, scratch)

    def _entries(self, folders: tuple[str, ...], opened: ExitStack) -> Iterator[os.DirEntry[str]]:
        try:
            folder = opened.enter_context(open_folder(self._root, folders))
        except FileNotFoundError:
            return iter(())
        return opened.enter_context(os.scandir(folder))

    def _open(self, name: str, opened: ExitStack) -> int | None:
        folders, last = split_name(name)
        try:
            with open_folder(self._root, folders) as folder:
                descriptor = open_file(folder, last, os.O_RDONLY)
        except FileNotFoundError:
            return None
        opened.callback(os.close, descriptor)
        return descriptor

    def _open_stage(self, stage: Stage, opened: ExitStack, *, mode: int) -> int:
        """Return a descriptor of the stage's file, which is made unless bytes of it are there. Raises NotFound."""
        folders, last = split_name(stage.name)
        makes = 0 if stage.offset else os.O_CREAT
        with make_folder(self._root, folders) as folder:
            try:
                descriptor = open_file(folder, last, os.O_WRONLY | makes, mode=mode)
            except FileNotFoundError as error:
                raise _gone() from error
        opened.callback(os.close, descriptor)
        return descriptor

    def _write(self, stage: Stage, blocks: Blocks, *, leaving: Leaving, attributes: Attributes | None) -> None:
        # Nobody else may read the bytes of a file before it has the mode of its source.
        gets_mode = self._keep_mode and attributes is not None and attributes.mode is not None
        with ExitStack() as opened:
            leaving(0)
            with mapped_os_errors():
                descriptor = self._open_stage(stage, opened, mode=0o600 if gets_mode else 0o666)
            written = stage.offset
            for block in blocks:
                leaving(len(block))
                with told_free(descriptor, missing=stage.length - written), mapped_os_errors():
                    write_at(descriptor, block, written)
                written += len(block)
            if written != stage.length:
                raise TargetInconsistent(f"The object was to have {stage.length} bytes, but {written} were written.")
            with mapped_os_errors():
                if attributes is not None:
                    self._give(descriptor, attributes)
                sync_file(descriptor)

    def _give(self, descriptor: int, attributes: Attributes) -> None:
        set_mtime(descriptor, attributes.mtime_ns)
        if self._keep_mode and attributes.mode is not None:
            set_permissions(descriptor, attributes.mode)

    def _remove(self, name: str) -> None:
        folders, last = split_name(name)
        with suppress(FileNotFoundError), open_folder(self._root, folders) as folder:
            os.unlink(last, dir_fd=folder)

    def _commit(self, temporary_name: str, final_name: str) -> None:
        with ExitStack() as folders:
            source, destination = self._both(temporary_name, final_name, folders)
            try:
                (rename_new if self.abilities.exclusive else rename_after_look)(source, destination)
            except FileExistsError as error:
                raise ObjectExists("The target already holds an object under this name.") from error
            except FileNotFoundError as error:
                raise _gone() from error
            _sync(source, destination)

    def _replace(self, temporary_name: str, final_name: str) -> None:
        with ExitStack() as folders:
            source, destination = self._both(temporary_name, final_name, folders)
            try:
                os.replace(source[1], destination[1], src_dir_fd=source[0], dst_dir_fd=destination[0])
            except FileNotFoundError as error:
                raise _gone() from error
            _sync(source, destination)

    def _both(self, temporary_name: str, final_name: str, opened: ExitStack) -> tuple[tuple[int, str], tuple[int, str]]:
        """Return folder descriptor and name of both objects. Makes the final object's folder. Raises NotFound."""
        temporary_folders, temporary = split_name(temporary_name)
        final_folders, final = split_name(final_name)
        try:
            source = opened.enter_context(open_folder(self._root, temporary_folders))
        except FileNotFoundError as error:
            raise _gone() from error
        return (source, temporary), (opened.enter_context(make_folder(self._root, final_folders)), final)


def directory_fingerprint(path: Path) -> str:
    return fingerprint("directory", str(path))


def _temporary_marker(scratch: str) -> str:
    return f"{scratch}marker"


def _gone() -> NotFound:
    return NotFound("The temporary object is no longer at the target.")


def _some_names(entries: Iterator[os.DirEntry[str]]) -> list[str]:
    return [entry.name for entry in islice(entries, NAMES_AT_ONCE)]


def _some_entries(entries: Iterator[os.DirEntry[str]], count: int) -> dict[str, FolderEntry]:
    """Return the next `count` entries by name. An entry that vanishes meanwhile is left out."""
    found = {}
    for entry in islice(entries, count):
        with suppress(FileNotFoundError):
            status = entry.stat(follow_symlinks=False)
            is_object = stat.S_ISREG(status.st_mode)
            found[entry.name] = FolderEntry(is_object=is_object, length=status.st_size if is_object else None)
    return found


def _sync(source: tuple[int, str], destination: tuple[int, str]) -> None:
    """Flush the folders of a renaming to the disk.

    Raises TargetUnavailable if the disk fails, never TargetRefused: the object has its new name already, and the next
    attempt finds it there.
    """
    try:
        sync_folder(destination[0])
        if not os.path.samestat(os.fstat(source[0]), os.fstat(destination[0])):
            sync_folder(source[0])
    except OSError as error:
        raise TargetUnavailable(
            f"The target's directory failed after the object was renamed: {error.strerror}."
        ) from error

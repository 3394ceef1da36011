"""Tests of the directory target alone: links, special files, and file systems that lack an operation."""

import asyncio
import ctypes
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gridhaul.targets import beneath
from gridhaul.targets.beneath import link_and_unlink, rename_new
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.os_errors import in_thread, mapped_os_errors
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import (
    GridhaulError,
    NotAnObject,
    NotFound,
    ObjectExists,
    TargetFull,
    TargetRefused,
    TargetUnavailable,
)
from tests.targets.blocks import SomeBlocks
from tests.targets.deliveries import SCRATCH, may_write, stage_of, written

Rename = Callable[[tuple[int, str], tuple[int, str]], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def target(root: Path) -> DirectoryTarget:
    return DirectoryTarget(name="here", path=root)


async def put(target: DirectoryTarget, name: str) -> None:
    await written(target, "run.bin", b"data", name=name)


@pytest.mark.parametrize("kind", ["leaving", "absolute", "within", "dangling"])
async def test_folder_that_is_a_link_is_refused(target: DirectoryTarget, root: Path, tmp_path: Path, kind: str) -> None:
    (root / "real").mkdir()
    to = {"leaving": "..", "absolute": str(tmp_path), "within": "real", "dangling": "nowhere"}[kind]
    (root / "link").symlink_to(to)
    await put(target, "x.part")
    for call in (
        put(target, "link/run.bin"),
        target.find("link/root", length=1),
        target.remove("link/root"),
        target.commit(stage_of("link/run.bin", name="x.part")),
        target.replace(stage_of("link/run.bin", name="x.part")),
        target.commit(stage_of("run.bin", name="link/root")),
    ):
        with pytest.raises(TargetRefused):
            await call
    assert _names(root) == ["link", "real", "x.part"]
    assert _names(root / "real") == []


async def test_object_that_is_a_link_is_not_followed(target: DirectoryTarget, root: Path, tmp_path: Path) -> None:
    outside = _linked_from(root / "run.bin", tmp_path)
    with pytest.raises(TargetRefused):
        await put(target, "run.bin")
    with pytest.raises(TargetRefused):
        await target.find("run.bin", length=6)
    await put(target, "x.part")
    with pytest.raises(ObjectExists):
        await target.commit(stage_of("run.bin", name="x.part"))
    await target.remove("run.bin")
    assert outside.read_bytes() == b"theirs"


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def _linked_from(link: Path, directory: Path) -> Path:
    outside = directory / "outside"
    outside.write_bytes(b"theirs")
    link.symlink_to(outside)
    return outside


async def test_root_may_be_a_link(target: DirectoryTarget, root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    await put(DirectoryTarget(name="linked", path=tmp_path / "link"), "run.bin")
    assert (root / "run.bin").read_bytes() == b"data"


async def test_what_is_no_file_is_refused_at_once(target: DirectoryTarget, root: Path) -> None:
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    for name in ("fifo", "folder"):
        with pytest.raises(NotAnObject):
            await asyncio.wait_for(target.find(name, length=1), 5)
        with pytest.raises(NotAnObject):
            await asyncio.wait_for(put(target, name), 5)


async def test_folder_that_took_the_name_meanwhile_is_no_object(target: DirectoryTarget, root: Path) -> None:
    (root / "folder").mkdir()
    await put(target, "x.part")
    with pytest.raises(NotAnObject):
        await target.replace(stage_of("folder", name="x.part"))
    with pytest.raises(NotAnObject):
        await target.remove("folder")
    assert _names(root) == ["folder", "x.part"]


@pytest.mark.parametrize("name", ["run.bin/below", "2026/run.bin/deeper/below"])
async def test_file_where_a_folder_is_needed_is_named(target: DirectoryTarget, root: Path, name: str) -> None:
    file = (root / name.partition("run.bin")[0]) / "run.bin"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"theirs")
    for call in (target.find(name, length=1), put(target, name)):
        with pytest.raises(TargetRefused, match=r"a file or a link under 'run\.bin', where a folder is needed"):
            await call
    assert file.read_bytes() == b"theirs"


async def test_root_that_is_no_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TargetUnavailable):
        await DirectoryTarget(name="here", path=tmp_path / "file").find("run.bin", length=1)


async def test_part_of_a_name_that_is_too_long_is_refused(target: DirectoryTarget) -> None:
    with pytest.raises(TargetRefused):
        await put(target, "x" * 256)


@pytest.mark.parametrize("rename", [rename_new, link_and_unlink])
def test_rename_without_replacing(root: Path, rename: Rename) -> None:
    folder = os.open(root, os.O_RDONLY)
    try:
        (root / "new").write_bytes(b"ours")
        rename((folder, "new"), (folder, "free"))
        assert (root / "free").read_bytes() == b"ours"
        assert not (root / "new").exists()
        (root / "new").write_bytes(b"more")
        with pytest.raises(FileExistsError):
            rename((folder, "new"), (folder, "free"))
        with pytest.raises(FileNotFoundError):
            rename((folder, "gone"), (folder, "other"))
        assert (root / "free").read_bytes() == b"ours"
    finally:
        os.close(folder)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, None])
async def test_file_system_without_renameat2_links(
    target: DirectoryTarget, root: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    monkeypatch.setattr(beneath, "_renameat2", None if number is None else lambda *_: _set_errno(number))
    await put(target, "x.part")
    await put(target, "taken")
    with pytest.raises(ObjectExists):
        await target.commit(stage_of("taken", name="x.part"))
    await target.commit(stage_of("run.bin", name="x.part"))
    with pytest.raises(NotFound):
        await target.commit(stage_of("other", name="x.part"))
    assert _names(root) == ["run.bin", "taken"]


@pytest.fixture
def plain(root: Path, monkeypatch: pytest.MonkeyPatch) -> DirectoryTarget:
    """Return a target on a file system that can neither rename without replacing nor link, and was seen to be so."""
    monkeypatch.setattr(beneath, "_renameat2", None)

    def no_link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_link)
    found = DirectoryTarget(name="here", path=root, allow_overwrite_race=True)
    found.abilities = Abilities(atomic=True, exclusive=False)
    return found


async def test_file_system_that_only_replaces_is_looked_at_before_the_commit(
    plain: DirectoryTarget, root: Path
) -> None:
    await put(plain, "x.part")
    (root / "taken").write_bytes(b"theirs")
    (root / "link").symlink_to("nowhere")
    for name in ("taken", "link"):
        with pytest.raises(ObjectExists):
            await plain.commit(stage_of(name, name="x.part"))
    assert (root / "taken").read_bytes() == b"theirs"
    await plain.commit(stage_of("new/run.bin", name="x.part"))
    with pytest.raises(NotFound):
        await plain.commit(stage_of("other", name="x.part"))
    assert _names(root) == ["link", "new", "taken"]
    assert _names(root / "new") == ["run.bin"]


async def test_probe_sees_a_file_system_that_only_replaces(plain: DirectoryTarget) -> None:
    facts = await plain.probe(SCRATCH, may_write)
    assert plain.rely_on(facts)
    assert not plain.abilities.exclusive


async def test_file_system_that_renames_exclusively_is_used_so_although_it_was_not_seen(
    target: DirectoryTarget, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(target, "x.part")

    def rename_taken(source: tuple[int, str], destination: tuple[int, str]) -> None:
        (root / "taken").write_bytes(b"theirs")
        rename_new(source, destination)

    monkeypatch.setattr(beneath, "rename_new", rename_taken)
    with pytest.raises(ObjectExists):
        await target.commit(stage_of("taken", name="x.part"))
    assert (root / "taken").read_bytes() == b"theirs"


def _set_errno(number: int) -> int:
    ctypes.set_errno(number)
    return -1


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, TargetFull),
        (errno.EDQUOT, TargetFull),
        (errno.EIO, TargetUnavailable),
        (errno.ESTALE, TargetUnavailable),
        (errno.EISDIR, NotAnObject),
        (errno.EACCES, TargetRefused),
        (errno.EROFS, TargetRefused),
        (errno.ELOOP, TargetRefused),
        (errno.ENAMETOOLONG, TargetRefused),
    ],
)
def test_error_of_the_file_system(number: int, error: type[GridhaulError]) -> None:
    with pytest.raises(error) as caught, mapped_os_errors():
        raise OSError(number, os.strerror(number), "/secret/path")
    assert type(caught.value) is error
    assert "/secret" not in caught.value.detail


async def test_full_disk_is_tried_again(target: DirectoryTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(TargetFull, match="No space left"):
        await put(target, "run.bin")


async def test_cancelled_call_ends_before_its_descriptor_is_closed() -> None:
    begun, go_on, order = threading.Event(), threading.Event(), list[str]()

    def work() -> None:
        begun.set()
        go_on.wait(10)
        order.append("worked")

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["worked"]


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_no_descriptor_is_left_open(target: DirectoryTarget) -> None:
    before = _open_descriptors()
    for _ in range(3):
        await put(target, "a/b/run.bin")
        await target.find("a/b/run.bin", length=4)
        await target.find("a/b/run.bin", length=5)
        await put(target, "a/x.part")
        with pytest.raises(ObjectExists):
            await target.commit(stage_of("a/b/run.bin", name="a/x.part"))
        with pytest.raises(NotFound):
            await target.replace(stage_of("a/b/run.bin", name="a/gone.part"))
        with pytest.raises(ZeroDivisionError):
            await written(target, "run.bin", bytes(1), name="c", blocks=SomeBlocks(b"x", failure=ZeroDivisionError()))
    assert _open_descriptors() <= before

"""Source files: which may be opened beneath the roots, and how they are read."""

import hashlib
import os
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from gridhaul.source import beneath, opened
from gridhaul.source.opened import Source, identify
from gridhaul.source.roots import Roots
from gridhaul.transfer.digest import chunk_digest, manifest_root
from gridhaul.transfer.errors import (
    GridhaulError,
    NotARegularFile,
    PathInvalid,
    PathNotAllowed,
    SourceChanged,
    SourceMissing,
    SourceReadFailed,
    SourceUnreadable,
)
from gridhaul.transfer.model import Segment
from gridhaul.transfer.origins import SourceIdentity
from tests.contracts.bytes_to_store import MIB, seal_of, some_bytes
from tests.privileges import reads_everything


@pytest.fixture(params=["openat2", "walk"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a root beneath which files are opened by openat2, or component by component as without openat2."""
    if request.param == "walk":
        monkeypatch.setattr(beneath, "_openat2", _no_such_call)
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "run.h5").write_bytes(b"bytes")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-evil").mkdir()
    (tmp_path / "root-evil" / "run.h5").write_bytes(b"secret")
    return root


def _no_such_call(root_descriptor: int, beneath: str) -> int:
    raise OSError(38, "Function not implemented")


async def _open(path: Path | str, *roots: Path) -> bytes:
    with closing(await Source.open(str(path), Roots.any_of(roots))) as source:
        return os.pread(source._descriptor, 100, 0)


async def test_file_beneath_a_root_is_opened(root: Path, tmp_path: Path) -> None:
    assert await _open(root / "folder/run.h5", tmp_path / "root-evil", root) == b"bytes"
    assert await _open(f"{root}//folder/./run.h5", root) == b"bytes"
    assert await _open(root / "folder/run.h5", Path(f"{root}/")) == b"bytes"


async def test_loop_does_not_wait_for_the_file_system_while_a_file_is_identified(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set[int]()

    class Watched(Source):
        def identity(self) -> SourceIdentity:
            seen.add(threading.get_ident())
            return super().identity()

        def close(self) -> None:
            seen.add(threading.get_ident())
            super().close()

    monkeypatch.setattr(opened, "Source", Watched)
    await identify(str(root / "folder/run.h5"), Roots.any_of((root,)), max_file_bytes=None)
    assert seen
    assert threading.get_ident() not in seen


@pytest.mark.parametrize("name", [" ", "ä\N{GRINNING FACE}", "-rf", "a%b", "..run", "x" * 255])
async def test_unusual_name_is_a_name(root: Path, name: str) -> None:
    (root / name).write_bytes(b"bytes")
    assert await _open(f"{root}/{name}", root) == b"bytes"


@pytest.mark.parametrize("path", ["../secret", "folder/../../secret", "folder/../folder/run.h5", "..", "missing/.."])
async def test_two_dots_are_not_allowed(root: Path, path: str) -> None:
    with pytest.raises(PathNotAllowed):
        await _open(f"{root}/{path}", root)


@pytest.mark.parametrize("path", ["/etc/passwd", "{root}-evil/run.h5", "{root}/../secret", "/", "/proc/self/environ"])
async def test_path_outside_the_roots_is_not_allowed(root: Path, path: str) -> None:
    with pytest.raises(PathNotAllowed):
        await _open(path.format(root=root), root)


@pytest.mark.parametrize("to", ["../secret", "{outside}/secret", "{outside}/root/folder/run.h5", "/proc/self/environ"])
async def test_link_that_leaves_or_is_absolute_is_not_allowed(root: Path, tmp_path: Path, to: str) -> None:
    (root / "link").symlink_to(to.format(outside=tmp_path))
    with pytest.raises(PathNotAllowed):
        await _open(root / "link", root)


async def test_path_through_a_folder_that_links_out_is_not_allowed(root: Path, tmp_path: Path) -> None:
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(PathNotAllowed):
        await _open(root / "out" / "secret", root)


async def test_link_that_stays_inside_is_followed_by_the_kernel(root: Path, request: pytest.FixtureRequest) -> None:
    (root / "link").symlink_to("folder/run.h5")
    if "walk" in request.node.name:  # the walk follows no link at all
        with pytest.raises(PathNotAllowed):
            await _open(root / "link", root)
    else:
        assert await _open(root / "link", root) == b"bytes"


async def test_link_to_itself_is_not_allowed(root: Path) -> None:
    (root / "loop").symlink_to("loop")
    with pytest.raises(PathNotAllowed):
        await _open(root / "loop", root)


@pytest.mark.timeout(5)
async def test_what_is_no_regular_file_is_refused_at_once(root: Path) -> None:
    os.mkfifo(root / "fifo")
    for path in (root / "fifo", root / "folder", f"{root}/folder/", f"{root}/"):
        with pytest.raises(NotARegularFile):
            await _open(path, root)


async def test_root_itself_is_refused(root: Path) -> None:
    with pytest.raises(NotARegularFile):
        await _open(root, root)


@pytest.mark.parametrize("path", ["none", "none/run.h5", "folder/run.h5/none"])
async def test_missing_file_is_missing(root: Path, path: str) -> None:
    with pytest.raises(SourceMissing):
        await _open(root / path, root)


@pytest.mark.skipif(reads_everything(), reason="root may read everything")
async def test_file_without_permission_is_unreadable(root: Path) -> None:
    (root / "folder/run.h5").chmod(0)
    with pytest.raises(SourceUnreadable):
        await _open(root / "folder/run.h5", root)


@pytest.mark.parametrize("path", ["", "run.h5", "./run.h5", "/a\0b", "/a\nb", "/a\x7fb", "/\udc80", "/" + "x" * 5000])
async def test_malformed_path_is_invalid(root: Path, path: str) -> None:
    with pytest.raises(PathInvalid):
        await _open(path, root)


async def test_name_too_long_for_the_file_system_is_invalid(root: Path) -> None:
    with pytest.raises(PathInvalid):
        await _open(f"{root}/{'x' * 256}", root)


async def test_refusals_leave_no_descriptor_open(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for path in ("folder", "none", "none/none", "../secret"):
        with pytest.raises(GridhaulError):
            await _open(f"{root}/{path}", root)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return _written(tmp_path / "run.h5", 5 * MIB + 7)


def _written(path: Path, length: int) -> Path:
    path.write_bytes(some_bytes(length))
    return path


def _link_change_mode_unlink(path: Path) -> None:
    path.with_name("link").hardlink_to(path)
    path.chmod(0o600)
    path.unlink()


@pytest.mark.parametrize("length", [0, 1, MIB, MIB + 1, 5 * MIB + 7])
@pytest.mark.parametrize("chunks_each", [1, 2, 16])
async def test_segments_are_the_file_and_the_seal_its_digests(path: Path, length: int, chunks_each: int) -> None:
    data = some_bytes(length)
    _written(path, length)
    with closing(await Source.open(str(path), Roots.any_of((path.parent,)))) as source:
        reader = source.read(source.identity())
        segments = [segment async for segment in reader.segments(chunks_each)]
    chunks = [chunk for segment in segments for chunk in segment.chunks]
    assert b"".join(chunks) == data
    assert [segment.first for segment in segments] == list(range(0, len(chunks), chunks_each))
    assert all(len(chunk) == MIB for chunk in chunks[:-1])
    assert [digest for segment in segments for digest in segment.digests] == [chunk_digest(chunk) for chunk in chunks]
    seal = reader.seal()
    assert (seal.length, seal.sha256) == (length, hashlib.sha256(data).hexdigest())
    assert seal.manifest_root == manifest_root(chunk_digest(chunk) for chunk in chunks)
    assert seal == seal_of(data)


async def test_source_truncated_while_it_is_read_has_changed(path: Path) -> None:
    with closing(await Source.open(str(path), Roots.any_of((path.parent,)))) as source:
        segments = source.read(source.identity()).segments(1)
        assert (await anext(segments)).first == 0
        os.truncate(path, 3 * MIB)
        with pytest.raises(SourceChanged):
            [segment async for segment in segments]


async def test_read_error_is_a_failed_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with closing(await Source.open(str(path), Roots.any_of((path.parent,)))) as source:
        monkeypatch.setattr(os, "pread", fail)
        with pytest.raises(SourceReadFailed):
            await anext(source.read(source.identity()).segments(1))


async def test_reader_left_in_the_middle_is_done_with_the_descriptor(path: Path) -> None:
    with closing(await Source.open(str(path), Roots.any_of((path.parent,)))) as source:
        segments = source.read(source.identity()).segments(1)
        first: Segment = await anext(segments)
        await segments.aclose()
    assert len(first.chunks) == 1


async def test_source_that_nobody_touched_is_the_registered_one(path: Path) -> None:
    with closing(await Source.open(str(path), Roots.any_of((path.parent,)))) as source:
        registered = source.identity()
        source.require(registered)
        source.require(replace(registered, device="0", ctime_ns=0))


@pytest.mark.parametrize("change", ["append", "rewrite", "truncate"])
async def test_source_written_to_has_changed(path: Path, change: str) -> None:
    with closing(await Source.open(str(path), Roots.any_of((path.parent,)))) as source:
        registered = source.identity()
        if change == "append":
            with path.open("ab") as file:
                file.write(b"x")
        elif change == "truncate":
            os.truncate(path, 1)
        else:
            os.utime(path, ns=(0, registered.mtime_ns + 1))
        with pytest.raises(SourceChanged):
            source.require(registered)


async def test_source_replaced_by_rename_has_changed(path: Path) -> None:
    with closing(await Source.open(str(path), Roots.any_of((path.parent,)))) as source:
        registered = source.identity()
    new = _written(path.with_name("new"), 5 * MIB + 7)
    os.utime(new, ns=(0, registered.mtime_ns))
    new.rename(path)
    with closing(await Source.open(str(path), Roots.any_of((path.parent,)))) as source, pytest.raises(SourceChanged):
        source.require(registered)


@pytest.mark.parametrize("mode", [0o640, 0o4755, 0o1666])
def test_identity_has_the_mode_of_the_file(path: Path, mode: int) -> None:
    path.chmod(mode)
    with closing(Source.open_here(str(path), Roots.any_of((path.parent,)))) as source:
        assert source.identity().mode == mode


async def test_file_linked_with_another_mode_or_unlinked_is_the_same(path: Path) -> None:
    with closing(await Source.open(str(path), Roots.any_of((path.parent,)))) as source:
        registered = source.identity()
        _link_change_mode_unlink(path)
        source.require(registered)

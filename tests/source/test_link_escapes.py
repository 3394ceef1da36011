"""Links that lead out of an account's root, and special files within it: each is refused with its own error."""

import os
import socket
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from gridhaul.source.opened import Source, identify
from gridhaul.source.roots import Roots
from gridhaul.transfer.errors import NotARegularFile, PathNotAllowed, SourceMissing, SourceUnreadable
from tests.privileges import reads_everything
from tests.source.exports import INSIDE, Exports

LEAVING_FILES = {
    "absolute": "{outside}/secret",
    "absolute, missing": "{outside}/none",
    "absolute, though inside": "{alice}/run.h5",
    "relative": "../../../secret",
    "relative, missing": "../../../none",
    "another account": "../bob/run.h5",
    "another account, missing": "../bob/none",
    "through a folder and back": "folder/../../bob/run.h5",
    "out and in again": "../alice/run.h5",
    "system file": "/etc/passwd",
    "system file, missing": "/etc/none",
    "environment": "/proc/self/environ",
    "standard input": "/dev/stdin",
    "device": "/dev/zero",
    "file system's root": "/",
    "the account's own root": "{alice}",
    "long": "/" + "./" * 2000 + "etc/passwd",
    "itself": "link",
}
LEAVING_FOLDERS = {
    "absolute": "{outside}",
    "relative": "../../..",
    "parent": "..",
    "another account": "../bob",
    "another account, absolute": "{exports}/bob",
    "missing": "../none",
    "file system's root": "/",
    "magic root": "/proc/self/root",
    "magic working directory": "/proc/self/cwd",
    "magic descriptors": "/proc/self/fd",
    "descriptors": "/dev/fd",
    "file instead of a folder": "../bob/run.h5",
    "itself": "link",
}
BELOW = ("run.h5", "secret", "none", "none/none", "0", "etc/passwd", "run.h5/none", "folder/run.h5")


@pytest.mark.parametrize("to", LEAVING_FILES.values(), ids=LEAVING_FILES)
async def test_link_that_leaves_is_not_allowed_wherever_it_leads(exports: Exports, to: str) -> None:
    (exports.alice / "link").symlink_to(exports.path(to))
    refused = await exports.refused("{alice}/link")
    assert (type(refused), refused.detail) == (PathNotAllowed, (await exports.refused("/none")).detail)


@pytest.mark.parametrize("to", LEAVING_FOLDERS.values(), ids=LEAVING_FOLDERS)
@pytest.mark.parametrize("folder", ["{alice}", "{alice}/folder"], ids=["first component", "middle component"])
async def test_nothing_can_be_learnt_through_a_folder_that_links_out(exports: Exports, to: str, folder: str) -> None:
    link = Path(exports.path(folder)) / "link"
    up = "../" if "folder" in folder and to.startswith("..") else ""
    link.symlink_to(up + exports.path(to))
    for below in BELOW:
        refused = await exports.refused(f"{link}/{below}")
        assert (type(refused), refused.detail) == (PathNotAllowed, (await exports.refused("/none")).detail), below


async def test_chain_of_links_that_leaves_at_its_end_is_not_allowed(exports: Exports) -> None:
    for name, to in (("a", "folder/b"), ("folder/b", "../c"), ("c", "d/run.h5"), ("d", "../bob")):
        (exports.alice / name).symlink_to(to)
    assert type(await exports.refused("{alice}/a")) is PathNotAllowed


async def test_endless_chain_of_links_is_not_allowed(exports: Exports) -> None:
    for number in range(50):
        (exports.alice / f"{number}").symlink_to(f"{number + 1}")
    (exports.alice / "50").symlink_to("run.h5")
    assert type(await exports.refused("{alice}/0")) is PathNotAllowed


async def test_link_to_an_open_descriptor_of_a_secret_is_not_allowed(exports: Exports) -> None:
    with (exports.outside / "secret").open() as secret:
        (exports.alice / "link").symlink_to(f"/proc/self/fd/{secret.fileno()}")
        assert type(await exports.refused("{alice}/link")) is PathNotAllowed


@pytest.mark.parametrize("path", ["fd/0", "cwd", "exe", "root/etc/passwd", "cwd/pyproject.toml"])
async def test_magic_links_are_not_followed_where_the_root_is_proc_itself(exports: Exports, path: str) -> None:
    exports.configured = exports.alice = Path("/proc")
    assert type(await exports.refused(f"{{alice}}/{os.getpid()}/{path}")) is PathNotAllowed


async def test_file_that_the_kernel_makes_up_has_no_length_so_nothing_is_read(exports: Exports) -> None:
    """The environment of a process is a regular file, and /proc could be mounted beneath a root."""
    roots = Roots.any_of((Path("/proc"),))
    path = f"/proc/{os.getpid()}/environ"
    identity = await identify(path, roots, max_file_bytes=None)
    with closing(await Source.open(path, roots)) as source:
        assert [segment async for segment in source.read(identity).segments(16)] == []


async def test_link_that_stays_inside_is_followed_where_the_kernel_sees_to_it(
    exports: Exports, request: pytest.FixtureRequest
) -> None:
    (exports.alice / "link").symlink_to("folder/../run.h5")
    if "walk" in request.node.name:
        assert type(await exports.refused("{alice}/link")) is PathNotAllowed
    else:
        assert await exports.open("{alice}/link") == INSIDE


def _bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


def _device(kind: int, major: int, minor: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        try:
            os.mknod(path, kind | 0o666, os.makedev(major, minor))
        except PermissionError:
            pytest.skip("only root makes devices")

    return make


SPECIAL: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "FIFO": os.mkfifo,
    "socket": _bound,
    "null": _device(stat.S_IFCHR, 1, 3),
    "zero": _device(stat.S_IFCHR, 1, 5),
    "terminal": _device(stat.S_IFCHR, 5, 0),
    "tape that is not there": _device(stat.S_IFCHR, 9, 0),
    "disk that is not there": _device(stat.S_IFBLK, 2, 0),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("make", SPECIAL.values(), ids=SPECIAL)
async def test_what_is_no_regular_file_is_refused_without_being_opened(
    exports: Exports, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    monkeypatch.chdir(exports.alice)  # a relative path, because the address of a socket must be short
    make(Path("special"))
    assert type(await exports.refused("{alice}/special")) is NotARegularFile
    assert type(await exports.refused("{alice}/special/")) is NotARegularFile


async def test_writer_of_a_fifo_does_not_notice_that_it_was_asked_for(exports: Exports) -> None:
    os.mkfifo(exports.alice / "fifo")
    await exports.refused("{alice}/fifo")
    with pytest.raises(OSError, match="No such device or address"):  # ENXIO: no reader has the FIFO open
        os.open(exports.alice / "fifo", os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.parametrize("path", ["{alice}", "{alice}/", "{alice}/.", "{alice}/folder", "{alice}/folder//"])
async def test_folder_is_refused(exports: Exports, path: str) -> None:
    assert type(await exports.refused(path)) is NotARegularFile


@pytest.mark.skipif(reads_everything(), reason="root may look everywhere")
@pytest.mark.parametrize("path", ["run.h5", "none", "none/none", "link", "../run.h5"])
async def test_in_a_folder_that_may_not_be_searched_everything_is_alike(exports: Exports, path: str) -> None:
    (exports.alice / "folder" / "link").symlink_to("../../bob/run.h5")
    (exports.alice / "folder").chmod(0o600)
    refused = await exports.refused(f"{{alice}}/folder/{path}")
    assert type(refused) is (PathNotAllowed if ".." in path else SourceUnreadable)


@pytest.mark.skipif(reads_everything(), reason="root may look everywhere")
@pytest.mark.parametrize("to", ["../bob/run.h5", "../bob/none", "../bob", "{exports}/bob/run.h5"])
async def test_link_into_a_folder_outside_that_may_not_be_searched_is_not_allowed(exports: Exports, to: str) -> None:
    (exports.alice / "link").symlink_to(exports.path(to))
    (exports.configured / "bob").chmod(0)
    assert type(await exports.refused("{alice}/link")) is PathNotAllowed


@pytest.mark.parametrize("path", ["{alice}/run.h5/none", "{alice}/run.h5/none/none", "{alice}/none/none"])
async def test_what_is_below_a_file_or_nothing_is_missing(exports: Exports, path: str) -> None:
    assert type(await exports.refused(path)) is SourceMissing

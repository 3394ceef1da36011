"""Races: a part of a path is swapped for a link that leads out, all the time, while the path is opened 10,000 times."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gridhaul.source.opened import Source
from gridhaul.transfer.errors import GridhaulError, PathNotAllowed, SourceMissing
from tests.source.exports import INSIDE, SECRET, Exports

OPENED = 10_000
REPEATED = 30  # so often that following the link takes as long as a swap
Outcome = bytes | type[GridhaulError]
SWAPPER = """
import ctypes, os, sys
libc, one, other = ctypes.CDLL(None, use_errno=True), os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])
exchange = lambda: libc.renameat2(-100, one, -100, other, 2)
if exchange():
    sys.exit(os.strerror(ctypes.get_errno()))
print("swapping", flush=True)
while os.getppid() == int(sys.argv[3]):
    exchange()
"""


@contextmanager
def _swapping(one: Path, other: Path) -> Iterator[None]:
    """Run another process that exchanges the two names as fast as it can."""
    command = [sys.executable, "-c", SWAPPER, str(one), str(other), str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as swapper:
        try:
            assert swapper.stdout is not None
            assert swapper.stdout.readline() == b"swapping\n"
            yield
        finally:
            swapper.kill()


async def _open_and_read(exports: Exports, path: str) -> None:
    """Open and read the path 10,000 times, and more until both outcomes were seen. Require that no secret is read."""
    seen: Counter[Outcome] = Counter()
    while seen.total() < OPENED or len(seen) < 2 or INSIDE not in seen:
        outcome = await _outcome(exports, path)
        assert outcome in (INSIDE, PathNotAllowed, SourceMissing)
        seen[outcome] += 1
    assert set(exports.read) == {INSIDE}


async def _outcome(exports: Exports, path: str) -> Outcome:
    try:
        with closing(await Source.open(path, exports.roots)) as source:
            return os.pread(source._descriptor, 100, 0)
    except GridhaulError as error:
        return type(error)


async def test_file_swapped_for_a_link_to_a_secret(exports: Exports) -> None:
    (exports.alice / "link").symlink_to("../../../secret")
    with _swapping(exports.alice / "run.h5", exports.alice / "link"):
        await _open_and_read(exports, f"{exports.alice}/run.h5")


@pytest.mark.parametrize("to", ["../bob", "/", "{outside}"])
async def test_folder_swapped_for_a_link_to_one_with_a_secret(exports: Exports, to: str) -> None:
    (exports.alice / "link").symlink_to(exports.path(to))
    (exports.alice / "folder" / "deep").mkdir()
    with _swapping(exports.alice / "folder", exports.alice / "link"):
        await _open_and_read(exports, f"{exports.alice}/folder/run.h5")


async def test_root_of_the_account_swapped_for_a_link_to_another_one(exports: Exports) -> None:
    (exports.configured / "link").symlink_to("bob")
    with _swapping(exports.alice, exports.configured / "link"):
        await _open_and_read(exports, f"{exports.alice}/run.h5")


async def test_folder_above_the_root_of_the_account_swapped_for_a_link(exports: Exports) -> None:
    exports.configured = exports.outside
    fake = exports.outside / "fake" / "exports" / "alice"
    fake.mkdir(parents=True)
    (fake / "run.h5").write_bytes(SECRET)
    (exports.outside / "link").symlink_to("fake")
    with _swapping(exports.outside / "srv", exports.outside / "link"):
        await _open_and_read(exports, f"{exports.alice}/run.h5")


async def test_folder_moved_out_while_a_link_in_it_leads_up(exports: Exports, request: pytest.FixtureRequest) -> None:
    """From the outer place of the folder, the link leads to a secret; from the inner place, to the account's file."""
    if "walk" in request.node.name:
        pytest.skip("the walk follows no links")
    inside, moved = exports.alice / "folder" / "deep", exports.outside / "other" / "deep"
    for folder in (inside, moved):
        (folder / "a").mkdir(parents=True)
    (inside / "link").symlink_to("a/../" * REPEATED + "../../run.h5")
    with _swapping(inside, moved):
        await _open_and_read(exports, f"{inside}/link")

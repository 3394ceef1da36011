"""The directory target with sources of all times and modes. No time and no mode may fail a delivery."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.attributes import has_mode, has_mtime
from gridhaul.transfer.origins import Attributes
from tests.file_times import YEAR_1600, YEAR_1969, YEAR_2400
from tests.targets.deliveries import written

MTIME_NS = 1_600_000_000_123_456_789


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


async def put(target: DirectoryTarget, mode: int | None, *, mtime_ns: int = MTIME_NS) -> Attributes | None:
    """Deliver four bytes, and return the attributes of the object."""
    source = Attributes(mtime_ns=mtime_ns, mode=mode)
    await target.commit(await written(target, "run.bin", b"data", attributes=source))
    return await target.attributes("run.bin")


@pytest.mark.parametrize("mtime_ns", [MTIME_NS, 0, YEAR_1969, YEAR_2400, YEAR_1600, 2**93, -(2**93)])
async def test_no_time_of_a_source_fails_a_delivery(tmp_path: Path, mtime_ns: int) -> None:
    found = await put(DirectoryTarget(name="here", path=tmp_path), 0o640, mtime_ns=mtime_ns)
    on_disk = (tmp_path / "run.bin").stat().st_mtime_ns
    assert found is not None
    assert (found.mtime_ns, (tmp_path / "run.bin").read_bytes()) == (on_disk, b"data")
    if mtime_ns in (MTIME_NS, 0):
        assert on_disk == mtime_ns


async def test_mode_is_that_of_the_umask_where_the_setting_is_off(tmp_path: Path) -> None:
    found = await put(DirectoryTarget(name="here", path=tmp_path), 0o604)
    assert found == Attributes(mtime_ns=MTIME_NS, mode=0o640)


@pytest.mark.parametrize(
    ("mode", "kept"),
    [
        (0o604, 0o604),  # more than the umask allows
        (0o755, 0o755),
        (0o444, 0o444),
        (0o7755, 0o755),  # setuid, setgid and sticky are never set
        (0o040, 0o600),  # the worker could not read the object
        (None, 0o640),  # a record without a mode
    ],
)
async def test_permission_bits_are_kept_where_the_setting_is_on(tmp_path: Path, mode: int | None, kept: int) -> None:
    found = await put(DirectoryTarget(name="here", path=tmp_path, keep_mode=True), mode)
    assert found == Attributes(mtime_ns=MTIME_NS, mode=kept)
    assert has_mode(found, Attributes(mtime_ns=MTIME_NS, mode=mode)) == (mode == kept)
    assert stat.S_IMODE((tmp_path / "run.bin").stat().st_mode) == kept


@pytest.mark.parametrize(
    ("found_ns", "kept"), [(10**10, True), (10**10 - 1_999_999_999, True), (10**10 - 2 * 10**9, False), (2**93, False)]
)
def test_time_counts_as_kept_up_to_the_coarsest_times_of_file_systems(found_ns: int, kept: bool) -> None:
    source = Attributes(mtime_ns=10**10, mode=None)
    assert has_mtime(Attributes(mtime_ns=found_ns, mode=0o644), source) == kept


def test_object_that_is_gone_has_nothing_kept() -> None:
    source = Attributes(mtime_ns=0, mode=0o644)
    assert (has_mtime(None, source), has_mode(None, source)) == (False, False)


@pytest.mark.parametrize(
    ("keep_mode", "mode", "at_first"), [(True, 0o600, 0o600), (True, 0o644, 0o600), (False, 0o600, 0o640)]
)
async def test_nobody_else_can_read_an_object_before_it_has_the_mode_of_its_source(
    tmp_path: Path, keep_mode: bool, mode: int, at_first: int
) -> None:
    seen: list[int] = []

    def look(length: int) -> None:
        if length:
            seen.append(stat.S_IMODE((tmp_path / "run.bin").stat().st_mode))

    target = DirectoryTarget(name="here", path=tmp_path, keep_mode=keep_mode)
    attributes = Attributes(mtime_ns=MTIME_NS, mode=mode)
    await written(target, "run.bin", b"bytes", name="run.bin", leaving=look, attributes=attributes)
    assert seen == [at_first]

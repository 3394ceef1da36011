"""Receipts tell mtime and mode of the source, and whether the object at the target has them."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.errors import GridhaulError, TargetRefused, TargetUnavailable
from gridhaul.transfer.model import Receipt, RecordId, Stage
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.states import DeliveryState
from tests.servers.http_store import HttpStore
from tests.tasks.delivery_bench import NAME, Bench
from tests.tasks.worker_parts import only

MTIME_NS = 1_600_000_000_123_456_789
THEIRS_NS = 1_500_000_000 * 10**9
DATA = b"new"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


async def receipt_of(bench: Bench, to: str, *, mode: int | None = 0o640, attempts: int = 1) -> Receipt:
    """Deliver a file whose source has the mtime and the mode; return the receipt."""
    delivery = await bench.open(DATA, to)
    set_source(bench, delivery.file_id, mode)
    delivery = await bench.attempt(delivery, attempts=attempts)
    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.receipt is not None
    return delivery.receipt


def set_source(bench: Bench, file_id: RecordId, mode: int | None) -> None:
    row = bench.files.rows[file_id]
    source = row.record.source
    identity = replace(source.identity, mtime_ns=MTIME_NS, mode=mode)
    row.record = replace(row.record, origin=replace(source, identity=identity))


def told(receipt: Receipt) -> tuple[int | None, int | None, bool, bool]:
    return receipt.mtime_ns, receipt.mode, receipt.mtime_kept, receipt.mode_kept


async def test_directory_keeps_the_time_and_not_the_mode(bench: Bench) -> None:
    assert told(await receipt_of(bench, "disk")) == (MTIME_NS, 0o640, True, False)
    assert (bench.disk / NAME).stat().st_mtime_ns == MTIME_NS


async def test_directory_that_keeps_modes_keeps_both(bench: Bench) -> None:
    keeping = DirectoryTarget(name="disk", path=bench.disk, keep_mode=True)
    bench.runtime = replace(bench.runtime, targets=only(keeping))
    assert told(await receipt_of(bench, "disk")) == (MTIME_NS, 0o640, True, True)


async def test_web_server_keeps_neither(bench: Bench, web: HttpStore) -> None:
    assert told(await receipt_of(bench, "web")) == (MTIME_NS, 0o640, False, False)


async def test_mode_that_was_not_registered_is_not_known(bench: Bench) -> None:
    assert told(await receipt_of(bench, "disk", mode=None)) == (MTIME_NS, None, True, False)


async def test_object_that_was_there_is_left_alone(bench: Bench) -> None:
    path = bench.disk / NAME
    path.write_bytes(DATA)
    os.utime(path, ns=(0, THEIRS_NS))
    assert told(await receipt_of(bench, "disk")) == (MTIME_NS, 0o640, False, False)
    assert path.stat().st_mtime_ns == THEIRS_NS


async def test_object_that_an_earlier_attempt_renamed_has_kept_the_time(bench: Bench) -> None:
    """The first attempt loses its target right after the rename. The second finds the object, and sends nothing."""

    class Away(DirectoryTarget):
        async def commit(self, stage: Stage) -> None:
            await super().commit(stage)
            renamed.append(stage.final_name)
            raise TargetUnavailable("The target does not answer.")

    renamed: list[str] = []
    bench.runtime = replace(bench.runtime, targets=only(Away(name="disk", path=bench.disk)))
    receipt = await receipt_of(bench, "disk", attempts=2)
    assert told(receipt) == (MTIME_NS, 0o640, True, False)
    assert (renamed, receipt.attempts) == ([NAME], 2)


@pytest.mark.parametrize("error", [TargetUnavailable, TargetRefused])
async def test_object_whose_attributes_are_not_told_has_arrived_all_the_same(
    bench: Bench, error: type[GridhaulError]
) -> None:
    class Silent(DirectoryTarget):
        async def attributes(self, name: str) -> Attributes | None:
            raise error("The target does not tell.")

    bench.runtime = replace(bench.runtime, targets=only(Silent(name="disk", path=bench.disk)))
    receipt = await receipt_of(bench, "disk", attempts=1)
    assert told(receipt) == (MTIME_NS, 0o640, False, False)


async def test_object_has_the_time_from_the_first_moment_under_its_name(bench: Bench) -> None:
    class Looking(DirectoryTarget):
        def _commit(self, temporary_name: str, final_name: str) -> None:
            times.append((Path(bench.disk) / temporary_name).stat().st_mtime_ns)
            super()._commit(temporary_name, final_name)

    times: list[int] = []
    bench.runtime = replace(bench.runtime, targets=only(Looking(name="disk", path=bench.disk)))
    await receipt_of(bench, "disk")
    assert times == [MTIME_NS]

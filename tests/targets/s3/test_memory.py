"""Failed attempts give back the memory of their parts at once, before the cyclic garbage collector runs."""

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from gridhaul.targets.s3 import in_flight
from gridhaul.targets.s3.documents import PartTag
from gridhaul.targets.s3.part_sizes import AT_ONCE
from gridhaul.targets.s3.parts import Part
from gridhaul.targets.s3.writing import PartWriter, Send
from gridhaul.transfer.errors import LeaseLost, TargetUnavailable
from gridhaul.transfer.ports.targets import Leaving
from tests.targets.blocks import MIB, SomeBlocks, untold
from tests.targets.deliveries import stage_of, unnoted

PART = 4 * MIB
LENGTH = 2 * AT_ONCE * PART
ATTEMPTS = 3
Outcome = type[Exception]


class MadeBlocks(SomeBlocks):
    """Blocks that are made when they are taken; the source may fail in the middle of a part."""

    def __init__(self, *, length: int = LENGTH, fails: bool = False) -> None:
        super().__init__(b"")
        self._length = length
        self._fails = fails

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._length // MIB):
            yield bytes(MIB)
        if self._fails:
            raise KeyError("x")


@pytest.fixture
def _collector_stands_still() -> Iterator[None]:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


async def _write(blocks: SomeBlocks, send: Send, expected: Outcome, leaving: Leaving = untold) -> None:
    writer = PartWriter(stage_of("x", LENGTH), PART, blocks, sha256=True, leaving=leaving, send=send)
    try:
        await writer.write(unnoted)
    except expected:
        return
    raise AssertionError("the writing did not fail")


async def _takes(part: Part, leaving: Leaving) -> PartTag:
    await asyncio.to_thread(_leave, part, leaving)
    return PartTag(etag=f"{part.number}", sha256=None)


def _leave(part: Part, leaving: Leaving) -> None:
    for block in part.blocks:
        leaving(len(block))


async def _refused(part: Part, leaving: Leaving) -> PartTag:
    await _takes(part, leaving)
    raise TargetUnavailable("gone")


def _lost(_: int) -> None:
    raise LeaseLost


@pytest.mark.usefixtures("_collector_stands_still")
@pytest.mark.parametrize("case", ["target", "lease", "source"])
async def test_failed_writing_keeps_no_part_in_memory(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "backoff_seconds", lambda *_, **__: 0.0)
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(ATTEMPTS):
        if case == "target":
            await _write(MadeBlocks(), _refused, TargetUnavailable)
        elif case == "lease":
            await _write(MadeBlocks(), _takes, LeaseLost, _lost)
        else:
            source = MadeBlocks(length=PART + 3 * MIB, fails=True)
            await _write(source, _takes, KeyError)
    after, _ = tracemalloc.get_traced_memory()
    assert after - before < PART

"""A stream of verified chunks that is stopped while its last segment leaves: no chunk follows, and no normal end."""

import pytest

from gridhaul.process.stages import StagesStopped
from tests.contracts.bytes_to_store import MIB, sealed, some_bytes
from tests.contracts.memory_contents import MemoryContents, MemoryIntake


@pytest.mark.parametrize(("mib", "taken"), [(16, 1), (16, 16), (20, 2), (20, 5), (20, 20)])
async def test_nothing_follows_a_stop(mib: int, taken: int) -> None:
    contents = MemoryContents(sweep_after_seconds=60)
    content = await sealed(contents, MemoryIntake(contents, inline_limit_chunks=0), some_bytes(mib * MIB))
    chunks = contents.read(content)
    try:
        iterating = iter(chunks)
        for _ in range(taken):
            next(iterating)
        chunks.stop()
        with pytest.raises(StagesStopped):
            next(iterating)
    finally:
        chunks.close()

"""A process that delivers once into a directory, for tests that make its system calls fail, or mount a disk for it.

python -m tests.targets.one_delivery DIRECTORY BYTES MARKER

The target keeps modes, and the source has the attributes `SOURCE`.

MARKER is the id of the directory's marker; if it is empty, the directory is probed first.
"""

import asyncio
import sys
from pathlib import Path

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.origins import Attributes
from tests.targets.deliveries import SCRATCH, may_write, written

PART, NAME = "x.part", "run.bin"
SOURCE = Attributes(mtime_ns=1_600_000_000_123_456_789, mode=0o640)


async def deliver(directory: Path, length: int, marker: str) -> str:
    """Return the code and the detail of the error, or "done"."""
    target = DirectoryTarget(name="here", path=directory, keep_mode=True)
    try:
        target.rely_on({"marker": marker} if marker else await target.probe(SCRATCH, may_write))
        await target.commit(await written(target, NAME, bytes(length), name=PART, attributes=SOURCE))
    except GridhaulError as error:
        return f"{error.code}: {error.detail}"
    return "done"


if __name__ == "__main__":
    path, length_bytes, marker_id = sys.argv[1:]
    sys.stdout.write(asyncio.run(deliver(Path(path), int(length_bytes), marker_id)))

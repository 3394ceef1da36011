"""A process that sends half of an object to a target and then waits, for tests that kill it.

python -m tests.targets.stalled_put TARGETS_FILE TARGET OBJECT_NAME

The process writes a line once half of the object has left.
"""

import asyncio
import sys
from pathlib import Path

from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.ports.targets import Staging
from tests.targets.blocks import MIB, StalledBlocks
from tests.targets.deliveries import written


async def send_half(targets_file: Path, target_name: str, object_name: str) -> None:
    target = load_targets(targets_file).get(target_name)
    assert isinstance(target, Staging)
    blocks = StalledBlocks(bytes(MIB))
    sending = asyncio.create_task(written(target, "run.bin", bytes(2 * MIB), name=object_name, blocks=blocks))
    await asyncio.to_thread(blocks.begun.wait)
    sys.stdout.write("half has left\n")
    sys.stdout.flush()
    await sending


if __name__ == "__main__":
    file, target, name = sys.argv[1:]
    asyncio.run(send_half(Path(file), target, name))

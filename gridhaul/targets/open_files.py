"""Reading and writing of open files, in the thread of a directory target."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from gridhaul.transfer.digest import ContentDigest
from gridhaul.transfer.errors import TargetFull

BLOCK_BYTES = 1 << 20
BLOCKS_AT_ONCE = 8  # hashed in one call in a thread; cancelling waits for the end of the call


def hash_some(descriptor: int, total: ContentDigest) -> bool:
    """Hash the next blocks. Return False if no block was left."""
    before = total.length_bytes
    for _ in range(BLOCKS_AT_ONCE):
        block = os.read(descriptor, BLOCK_BYTES)
        if not block:
            break
        total.update(block)
    return total.length_bytes > before


def write_at(descriptor: int, block: bytes, offset: int) -> None:
    """Write the whole block at the offset, which leaves the other bytes of the file as they are."""
    left = memoryview(block)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


@contextmanager
def told_free(descriptor: int, *, missing: int) -> Iterator[None]:
    """Let a TargetFull say how many bytes are free, if fewer are free than the object still needs."""
    try:
        yield
    except TargetFull as full:
        status = os.fstatvfs(descriptor)
        free = status.f_bavail * status.f_frsize
        if free >= missing:  # a quota
            raise
        raise TargetFull(f"The target's disk is full: {free} bytes are free, and the object needs {missing}.") from full

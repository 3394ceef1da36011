"""The sizes of parts: all alike but the last, few enough, and small enough for the memory of a worker."""

import pytest

from gridhaul.targets.s3.part_sizes import (
    BUFFERED_BYTES,
    MIB,
    PARTS_MOST,
    is_buffered,
    part_bytes_of,
    part_count,
    part_length,
    parts_at_once,
)
from gridhaul.transfer.errors import TargetRefused

TIB = 1 << 40
FULL = PARTS_MOST * 16 * MIB  # the longest object with the smallest parts


@pytest.mark.parametrize(
    ("length", "part_mib", "count"),
    [
        (0, 16, 1),
        (1, 16, 1),
        (16 * MIB, 16, 1),
        (16 * MIB + 1, 16, 2),
        (FULL, 16, 9900),
        (FULL + 1, 17, 9318),
        (TIB, 106, 9893),
        (5 * TIB, 530, 9893),
    ],
)
def test_parts_of_a_length(length: int, part_mib: int, count: int) -> None:
    assert part_bytes_of(length) == part_mib * MIB
    assert part_count(length, part_mib * MIB) == count


@pytest.mark.parametrize("length", [0, 1, 16 * MIB - 1, 16 * MIB, 16 * MIB + 1, FULL - 1, FULL, FULL + 1, TIB + 7])
def test_parts_add_up_to_the_object(length: int) -> None:
    size = part_bytes_of(length)
    lengths = [part_length(n + 1, length=length, part_bytes=size) for n in range(part_count(length, size))]
    assert sum(lengths) == length
    assert set(lengths[:-1]) <= {size}
    assert 0 <= lengths[-1] <= size
    assert len(lengths) <= PARTS_MOST


def test_object_that_s3_does_not_take_is_refused() -> None:
    longest = PARTS_MOST * (5 << 30)
    assert part_bytes_of(longest) == 5 << 30
    with pytest.raises(TargetRefused, match="5 GiB"):
        part_bytes_of(longest + 1)


@pytest.mark.parametrize(("part_mib", "at_once"), [(16, 4), (17, 3), (32, 2), (33, 1), (64, 1), (65, 1), (530, 1)])
def test_parts_in_memory_stay_below_the_limit(part_mib: int, at_once: int) -> None:
    size = part_mib * MIB
    assert parts_at_once(size) == at_once
    assert is_buffered(size) == (size <= BUFFERED_BYTES)
    assert not is_buffered(size) or at_once * size <= BUFFERED_BYTES

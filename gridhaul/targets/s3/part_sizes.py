"""The sizes of the parts of a multipart upload.

All parts but the last have one size, because some servers (R2) want it so. There are at most 9,900 of them: S3 allows
10,000.
"""

from gridhaul.transfer.errors import TargetRefused

MIB = 1 << 20
PART_LEAST_BYTES = 16 * MIB
PARTS_MOST = 9_900
PART_MOST_BYTES = 5 << 30
BUFFERED_BYTES = 64 * MIB  # of all parts of one object that are in memory at once; a larger part is never in memory
AT_ONCE = 4


def part_bytes_of(length: int) -> int:
    """Return the size of each part but the last: the smallest multiple of 1 MiB that is at least
    max(16 MiB, length / 9,900).

    Raises TargetRefused if the object is longer than S3 allows.
    """
    least = -(-length // PARTS_MOST)
    size = max(PART_LEAST_BYTES, -(-least // MIB) * MIB)
    if size > PART_MOST_BYTES:
        raise TargetRefused(f"The object is longer than {PARTS_MOST} parts of 5 GiB, which S3 does not take.")
    return size


def part_count(length: int, part_bytes: int) -> int:
    """Return the number of parts: an empty object has one, which is empty."""
    return max(1, -(-length // part_bytes))


def part_length(number: int, *, length: int, part_bytes: int) -> int:
    """Return the length of the part; numbers begin with 1."""
    return min(part_bytes, length - (number - 1) * part_bytes)


def is_buffered(part_bytes: int) -> bool:
    """Return whether a part is read as a whole before it is sent, so that its digests can be sent with it."""
    return part_bytes <= BUFFERED_BYTES


def parts_at_once(part_bytes: int) -> int:
    return max(1, min(AT_ONCE, BUFFERED_BYTES // part_bytes))

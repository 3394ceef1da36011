import pytest

from gridhaul.transfer.chunking import CHUNK_BYTES, chunk_count, chunk_length


@pytest.mark.parametrize(
    ("length", "count"),
    [
        (0, 0),
        (1, 1),
        (CHUNK_BYTES - 1, 1),
        (CHUNK_BYTES, 1),
        (CHUNK_BYTES + 1, 2),
        (2**63 - 1, 2**43),
    ],
)
def test_each_begun_mebibyte_is_a_chunk(length: int, count: int) -> None:
    assert chunk_count(length) == count


@pytest.mark.parametrize("length", [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 7])
def test_chunks_are_full_but_the_last_and_add_up(length: int) -> None:
    *full, last = [chunk_length(length, n) for n in range(chunk_count(length))]
    assert set(full) <= {CHUNK_BYTES}
    assert 0 < last <= CHUNK_BYTES
    assert sum(full) + last == length

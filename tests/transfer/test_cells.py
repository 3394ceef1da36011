"""Maps of chunks have no more cells than are asked for, and each chunk is in one cell."""

import pytest

from gridhaul.transfer.cells import Cells


@pytest.mark.parametrize(
    ("count", "chunk_count", "chunks_per_cell", "sizes"),
    [
        (256, 0, 1, []),
        (256, 1, 1, [1]),
        (3, 3, 1, [1, 1, 1]),
        (3, 4, 2, [2, 2]),
        (3, 8, 3, [3, 3, 2]),
        (1, 5, 5, [5]),
    ],
)
def test_cells_are_alike_but_for_the_last(count: int, chunk_count: int, chunks_per_cell: int, sizes: list[int]) -> None:
    cells = Cells.at_most(count, chunk_count=chunk_count)
    assert (cells.chunks_per_cell, cells.sizes) == (chunks_per_cell, sizes)
    assert sum(sizes) == chunk_count

"""Maps of a content's chunks: cells of consecutive chunks, so that the map of a large content is small."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """The cells of a map. All cells have the same number of chunks, except that the last one may have fewer."""

    chunk_count: int
    chunks_per_cell: int

    @classmethod
    def at_most(cls, count: int, *, chunk_count: int) -> Self:
        """Return up to `count` cells for a content of `chunk_count` chunks."""
        return cls(chunk_count=chunk_count, chunks_per_cell=max(1, -(-chunk_count // count)))

    def joined(self, count: int) -> Self:
        """Return up to `count` cells, each of which is made of whole cells of these."""
        times = max(1, -(-len(self.sizes) // count))
        return type(self)(chunk_count=self.chunk_count, chunks_per_cell=times * self.chunks_per_cell)

    def sums(self, counts: Sequence[int], finer: "Cells") -> list[int]:
        """Return the sums of `counts` for these cells. `counts` are of `finer` cells, from which these were joined."""
        times = self.chunks_per_cell // finer.chunks_per_cell
        return [sum(counts[first : first + times]) for first in range(0, len(counts), times)]

    @property
    def sizes(self) -> list[int]:
        """The number of chunks in each cell."""
        firsts = range(0, self.chunk_count, self.chunks_per_cell)
        return [min(self.chunks_per_cell, self.chunk_count - first) for first in firsts]

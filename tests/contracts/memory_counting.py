"""Memory twins of the counts of accounts and of stored chunks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from gridhaul.transfer.batches import Group
from gridhaul.transfer.cells import Cells
from gridhaul.transfer.listing import TYPES_NAMED, AccountCounts, TypeCounts
from gridhaul.transfer.model import Content, Delivery, File, RecordId
from gridhaul.transfer.ports.counting import AccountCounting, ChunkCounting
from gridhaul.transfer.states import BYTES_GONE
from tests.contracts.memory_contents import MemoryContents
from tests.contracts.memory_registry import Row, wall_clock


class MemoryAccountCounting:
    """A twin of `transfer.ports.counting.AccountCounting` over the rows of the registries' twins."""

    def __init__(self, files: Mapping[RecordId, Row[File]], deliveries: Mapping[RecordId, Row[Delivery]]) -> None:
        self._files = files
        self._deliveries = deliveries

    async def of_account(self, owner: str) -> AccountCounts:
        files = [row.record for row in self._files.values() if row.record.owner == owner]
        deliveries = [row.record for row in self._deliveries.values() if row.record.owner == owner]
        return AccountCounts(
            files={state: _group(file for file in files if file.state is state) for state in {f.state for f in files}},
            deliveries={
                state: _group(delivery for delivery in deliveries if delivery.state is state)
                for state in {delivery.state for delivery in deliveries}
            },
            counted_at=wall_clock(),
        )

    async def types_of_account(self, owner: str) -> TypeCounts:
        files = [row.record for row in self._files.values() if row.record.owner == owner]
        there = [file for file in files if file.state not in BYTES_GONE]
        types = {file.content_type for file in there}
        groups = {one: _group(file for file in there if file.content_type == one) for one in types}
        order = sorted(groups, key=lambda one: (-groups[one].bytes, -groups[one].count, one))
        return TypeCounts(
            largest={one: groups[one] for one in order[:TYPES_NAMED]},
            others=_group(file for file in there if file.content_type in order[TYPES_NAMED:]),
            counted_at=wall_clock(),
        )


class MemoryChunkCounting:
    """A twin of `transfer.ports.counting.ChunkCounting` over the twin of contents."""

    def __init__(self, contents: MemoryContents) -> None:
        self._contents = contents

    async def stored(self, content: Content, cells: Cells) -> Sequence[int]:
        numbers = self._contents.chunks.get(content.id, {}).keys()
        held = Counter(n // cells.chunks_per_cell for n in numbers if n < cells.chunk_count)
        return [held[cell] for cell in range(len(cells.sizes))]


def _group(records: Iterable[File | Delivery]) -> Group:
    lengths = [record.length for record in records]
    return Group(count=len(lengths), bytes=sum(lengths))


def _check(counting: MemoryAccountCounting, chunks: MemoryChunkCounting) -> tuple[AccountCounting, ChunkCounting]:
    """Let the type checker see that the twins have the methods of their ports."""
    return counting, chunks

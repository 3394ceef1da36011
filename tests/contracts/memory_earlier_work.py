"""Memory twins of the looks for what was delivered before, and of the names that planned batches would give."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from gridhaul.transfer.model import Delivery, RecordId
from gridhaul.transfer.origins import SourceIdentity
from gridhaul.transfer.ports.batches import FormerDeliveries, PlannedNames
from gridhaul.transfer.states import DeliveryState
from tests.contracts.memory_registry import MemoryDeliveries, MemoryFiles

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class MemoryFormerDeliveries:
    """A twin of `transfer.ports.batches.FormerDeliveries` over the twins of files and deliveries."""

    def __init__(self, files: MemoryFiles, deliveries: MemoryDeliveries) -> None:
        self._files = files
        self._deliveries = deliveries

    async def sources(self, owner: str, target: str, names: Mapping[str, str]) -> Mapping[str, SourceIdentity]:
        in_order = sorted(self._delivered(owner, target), key=lambda found: found[1].ended_at or LONG_AGO)
        newest = {path: one for path, one in in_order if names.get(path) == one.object_name}
        intact = {path: one.file_id for path, one in newest.items() if one.object_error is None}
        rows = self._files.rows
        return {path: rows[file_id].record.source.identity for path, file_id in intact.items() if file_id in rows}

    async def paths(self, owner: str, target: str, *, beneath: str, after: str, limit: int) -> Sequence[str]:
        paths = (path for path, _ in self._delivered(owner, target) if path.startswith(f"{beneath}/"))
        return sorted((path for path in paths if path.encode() > after.encode()), key=str.encode)[:limit]

    def _delivered(self, owner: str, target: str) -> Iterator[tuple[str, Delivery]]:
        for row in self._deliveries.rows.values():
            one = row.record
            theirs = (one.owner, one.target, one.state) == (owner, target, DeliveryState.DELIVERED)
            if theirs and one.source_path is not None:
                yield one.source_path, one


class MemoryPlannedNames:
    """A twin of `transfer.ports.batches.PlannedNames`."""

    def __init__(self) -> None:
        self.by_batch: dict[RecordId, dict[str, str]] = {}

    async def add(self, batch_id: RecordId, names: Mapping[str, str]) -> frozenset[str]:
        path_of = self.by_batch.setdefault(batch_id, {})
        return frozenset(path for path, name in names.items() if path_of.setdefault(name, path) != path)

    async def forget(self, batch_id: RecordId) -> None:
        self.by_batch.pop(batch_id, None)


def _check(former: MemoryFormerDeliveries, planned: MemoryPlannedNames) -> None:
    """Let the type checker see that the twins have the methods of their ports."""
    _: tuple[FormerDeliveries, PlannedNames] = (former, planned)

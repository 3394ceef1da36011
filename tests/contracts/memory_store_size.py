"""A memory twin of the size of the store."""

from collections.abc import Mapping

from gridhaul.transfer.checks import Check, CheckKind, CheckState
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.store_size import StoreMeasuring
from gridhaul.transfer.store_size import Orphans, StoreSize
from tests.contracts.memory_registry import Row, wall_clock


class MemoryStoreMeasuring:
    """A twin of `transfer.ports.store_size.StoreMeasuring`, of a server that does not tell any size."""

    def __init__(self, checks: Mapping[RecordId, Row[Check]]) -> None:
        self._checks = checks

    async def measure(self) -> StoreSize:
        checks = [row.record for row in self._checks.values()]
        done = [one for one in checks if (one.kind, one.state) == (CheckKind.GC, CheckState.DONE)]
        newest = max(done, key=lambda check: check.id, default=None)
        return StoreSize(
            total_bytes=None,
            used_bytes=None,
            data_bytes=None,
            orphans=Orphans.found_by(newest) if newest else None,
            measured_at=wall_clock(),
        )


def _check(measuring: MemoryStoreMeasuring) -> StoreMeasuring:
    """Let the type checker see that the twin has the methods of its port."""
    return measuring

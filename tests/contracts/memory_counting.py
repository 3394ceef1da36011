"""A memory twin of the counts of accounts."""

from collections.abc import Iterable, Mapping

from gridhaul.transfer.batches import Group
from gridhaul.transfer.listing import AccountCounts
from gridhaul.transfer.model import Delivery, File, RecordId
from gridhaul.transfer.ports.counting import AccountCounting
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


def _group(records: Iterable[File | Delivery]) -> Group:
    lengths = [record.length for record in records]
    return Group(count=len(lengths), bytes=sum(lengths))


def _check(counting: MemoryAccountCounting) -> AccountCounting:
    """Let the type checker see that the twin has the methods of its port."""
    return counting

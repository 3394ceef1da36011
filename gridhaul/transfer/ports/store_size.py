"""The size of the store."""

from typing import Protocol

from gridhaul.transfer.store_size import StoreSize


class StoreMeasuring(Protocol):
    async def measure(self) -> StoreSize:
        """Return how much the store holds now, in a time that is bounded. Raises DatabaseUnavailable."""

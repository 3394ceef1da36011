"""A semaphore that refuses instead of waiting; a client that is refused tries again later."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gridhaul.transfer.errors import GridhaulError


class ConcurrencyLimit:
    """A counter of free units (bytes or requests); `hold` raises the error that `refusal` makes instead of waiting."""

    def __init__(self, limit: int, refusal: Callable[[], GridhaulError]) -> None:
        self._free = limit
        self._refusal = refusal

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Hold `amount` units inside the context. Raises the refusal if fewer units are free."""
        if amount > self._free:
            raise self._refusal()
        self._free -= amount
        try:
            yield
        finally:
            self._free += amount

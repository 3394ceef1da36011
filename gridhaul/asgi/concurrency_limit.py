"""A semaphore that refuses instead of waiting: whoever is refused comes again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gridhaul.transfer.errors import GridhaulError


class ConcurrencyLimit:
    """So much of something at once, bytes or requests. `refusal` makes the error of what is over it."""

    def __init__(self, limit: int, refusal: Callable[[], GridhaulError]) -> None:
        self._free = limit
        self._refusal = refusal

    @contextmanager
    def hold(self, amount: int) -> Iterator[None]:
        """Raises the refusal if less than `amount` is free."""
        if amount > self._free:
            raise self._refusal()
        self._free -= amount
        try:
            yield
        finally:
            self._free += amount

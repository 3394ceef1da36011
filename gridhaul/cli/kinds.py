"""Finds the record that an id names: ids do not tell whether they belong to a file, a delivery or a batch."""

from collections.abc import Callable
from typing import TypeVar

from gridhaul.client import ApiError
from gridhaul.transfer.errors import NotFound

T = TypeVar("T")


def first_found(first: Callable[[], T], *others: Callable[[], T], kinds: str) -> T:
    """Return what the first of the functions returns that knows the id.

    Raises ClientError; if none knows the id, its detail names all `kinds`.
    """
    for act in (first, *others):
        try:
            return act()
        except ApiError as error:
            if error.code != NotFound.code:
                raise
            unknown = error
    raise ApiError(code=unknown.code, status=unknown.status, detail=f"There is no such {kinds}.")

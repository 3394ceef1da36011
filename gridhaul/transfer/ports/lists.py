"""Lists and manifests in pages, as the api takes them and as workers read them. All methods raise DatabaseUnavailable.

A list that no batch uses goes away by itself a day after it was sent. Pages without a list go away like that, too.
"""

from collections.abc import Sequence
from typing import Protocol

from gridhaul.transfer.lists import ListPage, NewList, PathList
from gridhaul.transfer.model import RecordId


class KeptLists(Protocol):
    """The lists as everybody uses them who has to do with a batch."""

    async def keep(self, list_id: RecordId) -> PathList | None:
        """Let the list stay until it is released, and return it; None if it or one of its pages has gone away."""


class ListIntake(KeptLists, Protocol):
    """The lists as the api uses them."""

    def new_id(self) -> RecordId:
        """Return an id that no list has."""

    async def add_page(self, list_id: RecordId, number: int, page: ListPage) -> None:
        """Store the page `number`, from 0, of a list that is still arriving."""

    async def register(self, list_id: RecordId, new: NewList) -> PathList:
        """Make the list, whose pages are all stored."""

    async def get(self, list_id: RecordId) -> PathList | None:
        """Return the list, or None if there is none."""

    async def newest(self, *, owner: str | None, limit: int, before: RecordId | None) -> Sequence[PathList]:
        """Return lists, newest first: those of the owner, or all for None; after `before` if that is given."""

    async def count_unused(self, owner: str, *, limit: int) -> int:
        """Return how many lists of the owner no batch uses, counted up to `limit`."""

    async def forget(self, list_id: RecordId) -> None:
        """Remove the list and its pages."""

    async def forget_unused(self, list_id: RecordId) -> bool:
        """Remove the list and its pages, and return True; False if a batch uses the list, or if there is none."""


class UsedLists(KeptLists, Protocol):
    """The lists as the workers that run batches use them."""

    async def page(self, list_id: RecordId, number: int) -> ListPage | None:
        """Return the page of the number, from 0; None after the last page."""

    async def release(self, list_id: RecordId, batch_id: RecordId) -> None:
        """Remove the list, unless another batch than this one uses it: any batch that is not being deleted."""

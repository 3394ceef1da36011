"""Counts of what an account has, and of what is stored of a content. All methods raise DatabaseUnavailable."""

from collections.abc import Sequence
from typing import Protocol

from gridhaul.transfer.cells import Cells
from gridhaul.transfer.listing import AccountCounts, TypeCounts
from gridhaul.transfer.model import Content


class AccountCounting(Protocol):
    """Counts in a time that is bounded."""

    async def of_account(self, owner: str) -> AccountCounts:
        """Count the account's files and deliveries by state.

        A delivery that changes its state meanwhile may be counted twice or not at all.
        """

    async def types_of_account(self, owner: str) -> TypeCounts:
        """Count the account's files by media type, without the files whose bytes are deleted."""


class ChunkCounting(Protocol):
    async def stored(self, content: Content, cells: Cells) -> Sequence[int]:
        """Return the number of stored chunks in each cell, in a time that is bounded. No chunk is read or compared.

        The open tail of an upload is no chunk yet.
        """

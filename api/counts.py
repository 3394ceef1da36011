"""`/counts`: how many files and deliveries an account has, and their bytes, by state; its files also by media type."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.auth import Reading
from api.dependencies import ServiceDep
from api.group_schemas import GroupView, group_views
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import Forbidden
from gridhaul.transfer.listing import TYPES_NAMED, AccountCounts, TypeCounts
from gridhaul.transfer.states import DeliveryState, FileState

router = APIRouter(prefix="/counts", tags=["counts"])

Owner = Annotated[
    str | None, Query(min_length=1, max_length=64, description="The account; without it: your own. Admins name any")
]


class AccountCountsView(BaseModel):
    owner: str
    files: dict[FileState, GroupView] = Field(description="By state; a state without files is left out")
    deliveries: dict[DeliveryState, GroupView] = Field(description="By state; a state without deliveries is left out")
    counted_at: datetime = Field(description="When this was counted, at most every 10 s")

    @classmethod
    def of(cls, owner: str, counts: AccountCounts) -> Self:
        return cls(
            owner=owner,
            files=group_views(counts.files),
            deliveries=group_views(counts.deliveries),
            counted_at=counts.counted_at,
        )


class TypeView(GroupView):
    content_type: str


class TypeCountsView(BaseModel):
    owner: str
    types: list[TypeView] = Field(description=f"At most {TYPES_NAMED} media types, those with the most bytes first")
    others: GroupView = Field(description="All files of other media types")
    counted_at: datetime = Field(description="When this was counted, at most every 10 s")

    @classmethod
    def of(cls, owner: str, counts: TypeCounts) -> Self:
        return cls(
            owner=owner,
            types=[
                TypeView(content_type=content_type, count=group.count, bytes=group.bytes)
                for content_type, group in counts.largest.items()
            ],
            others=GroupView(count=counts.others.count, bytes=counts.others.bytes),
            counted_at=counts.counted_at,
        )


@router.get("", summary="Count the files and deliveries of an account by state")
async def count(caller: Reading, service: ServiceDep, owner: Owner = None) -> AccountCountsView:
    """Count the account's files and deliveries. An account with many of them is counted less often than every 10 s."""
    account = _account(caller, owner)
    return AccountCountsView.of(account, await service.account_counts.of(account, account=account))


@router.get("/types", summary="Count the files of an account by media type")
async def count_types(caller: Reading, service: ServiceDep, owner: Owner = None) -> TypeCountsView:
    """Count the account's files by media type, without those whose bytes are deleted.

    An account with many files is counted less often than every 10 s.
    """
    account = _account(caller, owner)
    return TypeCountsView.of(account, await service.type_counts.of(account, account=account))


def _account(caller: Caller, owner: str | None) -> str:
    """Return the account to count. Raises Forbidden."""
    account = owner or caller.username
    if not caller.sees(account):
        raise Forbidden("Only an admin counts what other accounts have.")
    return account

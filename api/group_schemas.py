"""Groups of records in answers: how many there are, and their bytes."""

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, Field

from gridhaul.transfer.batches import Group

S = TypeVar("S", bound=str)


class GroupView(BaseModel):
    count: int
    bytes: int = Field(description="The sum of the lengths")


def group_views(groups: Mapping[S, Group]) -> dict[S, GroupView]:
    return {state: GroupView(count=group.count, bytes=group.bytes) for state, group in groups.items()}

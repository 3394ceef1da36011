"""`/targets/{target_name}/activity`: what the deliveries of an account do at a target."""

from datetime import datetime
from typing import Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.auth import Reading
from api.counts import Owner
from api.dependencies import ServiceDep
from api.targets import Name
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.transfer.errors import Forbidden
from gridhaul.transfer.states import DeliveryState
from gridhaul.transfer.target_activity import LastDelivered, LastError, TargetActivity

router = APIRouter(prefix="/targets", tags=["targets"], route_class=BoundedRoute)


class LastDeliveredView(BaseModel):
    delivery_id: str
    object_name: str
    at: datetime = Field(description="When the object was delivered")

    @classmethod
    def of(cls, last: LastDelivered | None) -> Self | None:
        return cls(delivery_id=last.delivery_id, object_name=last.object_name, at=last.at) if last else None


class LastErrorView(BaseModel):
    delivery_id: str
    object_name: str
    at: datetime = Field(
        description="When the delivery failed; of a delivery that waits for its next attempt, when it was last changed"
    )
    code: str
    detail: str

    @classmethod
    def of(cls, last: LastError | None) -> Self | None:
        if last is None:
            return None
        code, detail = last.error.code, last.error.detail
        return cls(delivery_id=last.delivery_id, object_name=last.object_name, at=last.at, code=code, detail=detail)


class TargetActivityView(BaseModel):
    target: str
    owner: str
    waiting: int = Field(description="Deliveries that are QUEUED, also those between two attempts")
    running: int = Field(description="Deliveries that are STREAMING or COMMITTING")
    paused: int
    failed: int
    delivered: int
    last_delivered: LastDeliveredView | None = Field(
        description="The newest delivery that is DELIVERED, by the time when it was first queued; null: there is none"
    )
    last_error: LastErrorView | None = Field(
        description="The newest delivery that is FAILED, or that waits because its last attempt failed, by the time "
        "when it was first queued; null: there is none"
    )
    counted_at: datetime = Field(description="When this was counted, at most every 10 s")

    @classmethod
    def of(cls, target: str, owner: str, activity: TargetActivity, *, counted_at: datetime) -> Self:
        return cls(
            target=target,
            owner=owner,
            waiting=activity.count(DeliveryState.QUEUED),
            running=activity.count(DeliveryState.STREAMING, DeliveryState.COMMITTING),
            paused=activity.count(DeliveryState.PAUSED),
            failed=activity.count(DeliveryState.FAILED),
            delivered=activity.count(DeliveryState.DELIVERED),
            last_delivered=LastDeliveredView.of(activity.last_delivered),
            last_error=LastErrorView.of(activity.last_error),
            counted_at=counted_at,
        )


@router.get("/{target_name}/activity", summary="See what deliveries do at a target")
async def get_activity(
    target_name: Name, caller: Reading, service: ServiceDep, owner: Owner = None
) -> TargetActivityView:
    """Count the account's deliveries to the target, and show how the last of them ended.

    The deliveries of an account are counted together for all its targets, at most every 10 s. A count that took long
    is repeated only after nine times as long.
    """
    service.check_target(caller, target_name)
    account = owner or caller.username
    if not caller.sees(account):
        raise Forbidden("Only an admin sees what other accounts deliver.")
    found = await service.target_activity.of(account, account=account)
    activity = found.targets.get(target_name, TargetActivity())
    return TargetActivityView.of(target_name, account, activity, counted_at=found.counted_at)

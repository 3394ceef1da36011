"""`/deliveries`: the progress of each delivery, and its receipt."""

from typing import Annotated

from fastapi import APIRouter

from api.auth import Reading
from api.dependencies import Cursor, Id, Limit, ServiceDep, States
from api.schemas import DeliveryPageView, DeliveryView
from gridhaul.asgi.problems import documented
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import DeliveryState

router = APIRouter(prefix="/deliveries", tags=["deliveries"])


@router.get("", summary="List deliveries, newest first", responses=documented(404))
async def list_deliveries(
    caller: Reading,
    service: ServiceDep,
    state: Annotated[tuple[DeliveryState, ...], States] = (),
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DeliveryPageView:
    before = await service.delivery(caller, RecordId(cursor)) if cursor else None
    deliveries = await service.deliveries.page(owner=caller.sees_only, states=state, limit=limit, before=before)
    next_cursor = deliveries[-1].id if len(deliveries) == limit else None
    shown = [DeliveryView.of(delivery, service.obstacles) for delivery in deliveries]
    return DeliveryPageView(deliveries=shown, next_cursor=next_cursor)


@router.get("/{delivery_id}", summary="Get one delivery", responses=documented(404))
async def get_delivery(delivery_id: Id, caller: Reading, service: ServiceDep) -> DeliveryView:
    return DeliveryView.of(await service.delivery(caller, delivery_id), service.obstacles)

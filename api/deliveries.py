"""`/deliveries`: the progress of each delivery, and its receipt."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import Reading
from api.dependencies import Cursor, Id, Limit, ServiceDep, States
from api.schemas import DeliveryPageView, DeliveryView
from gridhaul.asgi.problems import documented
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import DeliveryState

router = APIRouter(prefix="/deliveries", tags=["deliveries"])


Lost = Annotated[
    bool,
    Query(description="Only deliveries that are DELIVERED, and whose object a check found lost; `state` is ignored"),
]


@router.get("", summary="List deliveries, newest first", responses=documented(404))
async def list_deliveries(
    caller: Reading,
    service: ServiceDep,
    state: Annotated[tuple[DeliveryState, ...], States] = (),
    lost: Lost = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DeliveryPageView:
    before = await service.delivery(caller, RecordId(cursor)) if cursor else None
    page, owner = service.deliveries, caller.sees_only
    if lost:
        deliveries = await page.page_of_lost(owner=owner, limit=limit, before=before)
    else:
        deliveries = await page.page(owner=owner, states=state, limit=limit, before=before)
    next_cursor = deliveries[-1].id if len(deliveries) == limit else None
    shown = [DeliveryView.of(delivery, service.obstacles) for delivery in deliveries]
    return DeliveryPageView(deliveries=shown, next_cursor=next_cursor)


@router.get("/{delivery_id}", summary="Get one delivery", responses=documented(404))
async def get_delivery(delivery_id: Id, caller: Reading, service: ServiceDep) -> DeliveryView:
    return DeliveryView.of(await service.delivery(caller, delivery_id), service.obstacles)

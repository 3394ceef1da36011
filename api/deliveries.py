"""`/deliveries`: the progress of each delivery, and its receipt."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.auth import Reading
from api.dependencies import Cursor, Id, Limit, ServiceDep, States
from api.detail_schemas import DeliveryDetailView
from api.listing import (
    DELIVERY_LISTS,
    FiltersDep,
    documented_lines,
    json_lines,
    link_headers,
    next_cursor,
    select,
    wants_lines,
)
from api.schemas import DeliveryPageView, DeliveryView
from gridhaul.asgi.problems import documented
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import DeliveryState

router = APIRouter(prefix="/deliveries", tags=["deliveries"])


Lost = Annotated[
    bool,
    Query(description="Only deliveries that are DELIVERED, and whose object a check found lost"),
]


@router.get(
    "",
    summary="List deliveries, newest first or by object name",
    response_model=DeliveryPageView,
    responses=documented_lines("DeliveryView") | documented(404),
)
async def list_deliveries(
    request: Request,
    response: Response,
    caller: Reading,
    service: ServiceDep,
    filters: FiltersDep,
    state: Annotated[tuple[DeliveryState, ...], States] = (),
    lost: Lost = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DeliveryPageView | StreamingResponse:
    selection = select(caller, filters, DELIVERY_LISTS, state=state, lost=lost)
    after = await service.delivery(caller, RecordId(cursor)) if cursor else None
    if lost:
        deliveries = await service.deliveries.page_of_lost(owner=selection.owner, limit=limit, after=after)
    else:
        deliveries = await service.deliveries.page(selection, limit=limit, after=after)
    following = next_cursor(deliveries, limit)
    headers = link_headers(request, following)
    if wants_lines(request):
        return json_lines((DeliveryView.of(delivery, service.obstacles) for delivery in deliveries), headers)
    response.headers.update(headers)
    shown = [DeliveryView.of(delivery, service.obstacles) for delivery in deliveries]
    return DeliveryPageView(deliveries=shown, next_cursor=following)


@router.get("/{delivery_id}", summary="Get one delivery", responses=documented(404))
async def get_delivery(delivery_id: Id, caller: Reading, service: ServiceDep) -> DeliveryDetailView:
    return DeliveryDetailView.of(await service.delivery(caller, delivery_id), service.obstacles)

"""`/deliveries/{id}`: how far a delivery is, and its receipt."""

from fastapi import APIRouter

from api.auth import Caller
from api.dependencies import Id, Parts
from api.schemas import DeliveryView

router = APIRouter(prefix="/deliveries", tags=["deliveries"])


@router.get("/{delivery_id}", summary="One delivery")
async def get_delivery(delivery_id: Id, _: Caller, parts: Parts) -> DeliveryView:
    return DeliveryView.of(await parts.delivery(delivery_id))

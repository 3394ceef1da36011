"""Other deliveries that hold a delivery's name at its target, or have put their object there since."""

from bson import ObjectId

from gridhaul.storage.connect import Collection, Document
from gridhaul.transfer.findings import SkipReason
from gridhaul.transfer.model import Delivery
from gridhaul.transfer.states import DeliveryState


async def why_not_ours(deliveries: Collection, delivery: Delivery) -> SkipReason | None:
    """Return NAME_HELD or REPLACED if the object under the name need not be the delivery's own; None if it must be.

    A later delivery of the same bytes replaces nothing.
    """
    if await is_held(deliveries, delivery):
        return SkipReason.NAME_HELD
    other_bytes = {"sha256": {"$ne": delivery.sha256}}
    replaced = await is_replaced(deliveries, delivery, other_bytes)
    return SkipReason.REPLACED if replaced or await _was_replaced(deliveries, delivery, other_bytes) else None


async def is_held(deliveries: Collection, delivery: Delivery) -> bool:
    """Return whether another delivery claims the name."""
    claimed = {"target": delivery.target, "name": delivery.final_name}
    return await _is_any(deliveries, delivery, {"claimed": claimed})


async def is_replaced(deliveries: Collection, delivery: Delivery, *conditions: Document) -> bool:
    """Return whether a later delivery that meets the conditions is DELIVERED under the name."""
    name = {"target": delivery.target, "final_name": delivery.final_name}
    later = {"state": DeliveryState.DELIVERED.value, "ended_at": {"$gte": delivery.ended_at}}
    return await _is_any(deliveries, delivery, name, later, *conditions)


async def _was_replaced(deliveries: Collection, delivery: Delivery, *conditions: Document) -> bool:
    """Return whether a later delivery's object under the name was lost, and that delivery is queued again.

    Such a delivery has no final name until its next attempt.
    """
    receipt = {"receipt.object_name": delivery.final_name, "ended_at": {"$gte": delivery.ended_at}}
    indexed = {"target": delivery.target, "former_receipts.receipt.object_name": delivery.final_name}
    return await _is_any(deliveries, delivery, indexed, {"former_receipts": {"$elemMatch": receipt}}, *conditions)


async def _is_any(deliveries: Collection, delivery: Delivery, *conditions: Document) -> bool:
    another = {"_id": {"$ne": ObjectId(delivery.id)}}
    return await deliveries.find_one({"$and": [another, *conditions]}, {"_id": 1}) is not None

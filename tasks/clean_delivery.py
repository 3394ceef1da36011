"""The journey that removes what the attempts of a delivery may have left at the target, once the delivery is over."""

from dataclasses import replace
from typing import Any

from gridhaul.transfer.errors import OutcomeUnknown
from gridhaul.transfer.model import Delivery, RecordId, TaskName
from gridhaul.transfer.naming import is_temporary
from gridhaul.transfer.ports.targets import Target
from tasks.attempt import Meter, Tenure
from tasks.celery import app
from tasks.final_name import may_be_ours
from tasks.runtime import Runtime, worker


@app.task(name=TaskName.CLEAN_DELIVERY)
def clean_delivery(delivery_id: str) -> None:
    """Run the journey `clean_up` for the delivery id in the message."""
    worker.run(clean_up, delivery_id)


async def clean_up(runtime: Runtime, delivery_id: str) -> None:
    """Claim the delivery and remove its leftovers. Do nothing if the claim fails.

    The cleaning is never given up: a delivery that still has leftovers is due again.
    """
    delivery = await runtime.deliveries.claim_cleaning(RecordId(delivery_id), holder=runtime.holder)
    if delivery is not None:
        attempts = replace(runtime.cleaning_attempts, waiting=delivery.state, failed=delivery.state)
        await attempts.run(delivery, lambda tenure: _clean(runtime, delivery, tenure), _Unmetered(delivery))


class _Unmetered(Meter):
    """A meter that keeps the delivery's rate, because cleaning moves no bytes."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(0, lambda _: {})
        self._kept = {"rate": delivery.rate}

    def changes(self) -> dict[str, Any]:
        return dict(self._kept)


async def _clean(runtime: Runtime, delivery: Delivery, tenure: Tenure) -> None:
    target = await runtime.targets.get(delivery.target)
    touched = delivery.final_touched
    for name in delivery.leftovers:
        tenure.check()
        if is_temporary(name):
            await target.remove(name)
        else:
            touched = not await _cleaned_final(target, name, delivery, tenure)
    kept = {"rate": delivery.rate, "final_touched": touched}
    await runtime.deliveries.finish(delivery.lease, delivery.state, leftovers=(), **kept)


async def _cleaned_final(target: Target, name: str, delivery: Delivery, tenure: Tenure) -> bool:
    """Remove the object under the final name if the delivery may have sent it. Return whether nothing of it is left."""
    try:
        if await target.find(name, length=delivery.length) is None:
            return True
        found = await target.read_back(name, length=delivery.length, sha256=delivery.sha256)
        if found is None or not may_be_ours(delivery, delivery.replaced, found):
            return True
        tenure.check()
        await target.remove(name)
        return await target.find(name, length=delivery.length) is None
    except OutcomeUnknown:  # the target cannot be read: the object may be somebody else's
        return False

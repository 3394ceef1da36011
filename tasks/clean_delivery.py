"""The journey that removes what the attempts of a delivery may have left at the target, once the delivery is over."""

from dataclasses import replace
from typing import Any

from gridhaul.transfer.errors import (
    GridhaulError,
    NotAnObject,
    OutcomeUnknown,
    TargetLocked,
    TargetRefused,
    TargetUnavailable,
)
from gridhaul.transfer.inspection import not_shown
from gridhaul.transfer.model import Delivery, Failure, RecordId, TaskName
from gridhaul.transfer.naming import is_temporary
from gridhaul.transfer.ports.targets import Staging, Target
from tasks.attempt import Meter, Tenure
from tasks.celery import app
from tasks.delivering.final_name import carries_mark, may_be_ours
from tasks.delivering.known_targets import remove_leftover
from tasks.runtime import Runtime, worker


@app.task(name=TaskName.CLEAN_DELIVERY)
def clean_delivery(delivery_id: str) -> None:
    """Run the journey `clean_up` for the delivery id in the message."""
    worker.run(clean_up, delivery_id)


async def clean_up(runtime: Runtime, delivery_id: str) -> None:
    """Claim the delivery and remove its leftovers. Do nothing if the claim fails.

    A delivery that still has leftovers is due again, and its record says why. `_clean_final` says what is given up.
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
    """Remove every leftover that the target lets go. Raises the error of the first name that could not be cleaned.

    A target that was unavailable for two names is not asked for the further ones, because each could cost a minute of
    waiting.
    """
    target = await runtime.targets.get(delivery.target)
    outcome: dict[str, Any] = {}
    left, errors = list(delivery.leftovers), list[GridhaulError]()
    for name in delivery.leftovers:
        try:
            outcome |= await _clean_name(target, name, delivery, tenure)
            left.remove(name)
        except GridhaulError as error:
            errors.append(error)
            if sum(_is_silent(one) for one in errors) > 1:
                break
    if errors:
        await runtime.deliveries.renew(delivery.lease, leftovers=tuple(left), **outcome)
        raise errors[0]
    done = {"rate": delivery.rate, "leftovers": (), "stage": None, "cleaning_error": None}
    await runtime.deliveries.finish(delivery.lease, delivery.state, **{**done, **outcome})


def _is_silent(error: GridhaulError) -> bool:
    return isinstance(error, TargetUnavailable) and not isinstance(error, TargetLocked)


async def _clean_name(target: Target, name: str, delivery: Delivery, tenure: Tenure) -> dict[str, Any]:
    """Remove what the delivery left under the name. Return the record's changed fields."""
    tenure.check()
    if not is_temporary(name):
        return await _clean_final(target, name, delivery, tenure)
    await remove_leftover(target, name, delivery.stage)
    return {}


async def _clean_final(target: Target, name: str, delivery: Delivery, tenure: Tenure) -> dict[str, Any]:
    """Remove the object under the final name if the delivery may have sent it. Return the record's changed fields.

    An object that the target keeps is given up, so that other deliveries to the name do not wait for ever.
    """
    try:
        if not await _may_hold_ours(target, name, delivery):
            return {"final_touched": False}
        tenure.check()
        await target.remove(name)
        if await target.find(name, length=delivery.length) is not None:
            return {"final_touched": True, "cleaning_error": _kept_by_target(name)}
    except NotAnObject:  # somebody has put a folder, or the like, under the name since
        return {"final_touched": False}
    except OutcomeUnknown:  # the target cannot be read: the object may be somebody else's
        return {"final_touched": True}
    return {"final_touched": False}


async def _may_hold_ours(target: Target, name: str, delivery: Delivery) -> bool:
    if isinstance(target, Staging):
        return await carries_mark(delivery, target, name)
    if await target.find(name, length=delivery.length) is None:
        return False
    found = await target.read_back(name, length=delivery.length, sha256=delivery.sha256, checked=not_shown)
    return found is not None and may_be_ours(delivery, delivery.replaced, found)


def _kept_by_target(name: str) -> Failure:
    detail = f"The target keeps {name!r}, which may be a part of the file, although it was asked to remove it; "
    return Failure(code=TargetRefused.code, detail=f"{detail}remove it by hand, or retry the delivery.")

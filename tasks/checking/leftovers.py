"""The stage that reports what deliveries left at their targets and what could not be removed from there."""

from functools import partial

from gridhaul.transfer.checks import Cursor
from gridhaul.transfer.errors import NotAnObject, TargetRefused, TargetUnavailable
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.model import Delivery, Failure
from tasks.checking.examination import Examination
from tasks.clean_delivery import clean_up
from tasks.runtime import Runtime


class LeftoversExaminer:
    """The stage reads deliveries whose last cleaning left something. A step looks at one delivery.

    A repair cleans up again. If the cleaning was given up, a repair only looks whether the object is gone, because the
    name is free, and other deliveries may use it.
    """

    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._runtime = runtime
        self._objects = runtime.checking.objects
        self._examination = examination

    async def look(self, cursor: Cursor) -> Cursor | None:
        file = self._examination.file
        delivery = await self._objects.next_not_cleaned(after=cursor.after, of_file=file.id if file else None)
        if delivery is None:
            return None
        if delivery.cleaning_error is not None:
            mend = self._clean if delivery.leftovers else self._forget_if_gone
            finding = _finding(delivery, delivery.cleaning_error)
            await self._examination.settle(finding, partial(mend, delivery, delivery.cleaning_error))
        return Cursor(stage=cursor.stage, after=delivery.id)

    async def _clean(self, delivery: Delivery, _: Failure) -> bool:
        """Clean up now, and return whether no leftover remains. Raises TargetUnavailable with the cleaning's error."""
        await self._objects.make_cleaning_due(delivery.id)
        await clean_up(self._runtime, delivery.id)
        now = await self._runtime.deliveries.get(delivery.id)
        if now is not None and now.cleaning_error is not None:
            raise TargetUnavailable(now.cleaning_error.detail)
        return now is not None and not now.leftovers

    async def _forget_if_gone(self, delivery: Delivery, error: Failure) -> bool:
        """Raise TargetRefused with the error if an object is under the name that no later delivery has written."""
        if await self._is_there(delivery) and not await self._objects.is_superseded(delivery):
            raise TargetRefused(error.detail)
        return await self._objects.forget_cleaning_error(delivery)

    async def _is_there(self, delivery: Delivery) -> bool:
        target = await self._runtime.targets.get(delivery.target)
        try:
            found = await target.find(delivery.final_name or delivery.object_name, length=delivery.length)
        except NotAnObject:
            return False
        return found is not None


def _finding(delivery: Delivery, error: Failure) -> Finding:
    remain = (
        f"These names remain: {', '.join(delivery.leftovers)}." if delivery.leftovers else "Its removal was given up."
    )
    return Finding(
        code=FindingCode.LEFTOVERS_REMAIN,
        detail=f"{remain} {error.code}: {error.detail}",
        file_id=delivery.file_id,
        delivery_id=delivery.id,
        target=delivery.target,
    )

"""The stage that asks the targets for the objects that were delivered."""

from gridhaul.transfer.checks import Cursor
from gridhaul.transfer.errors import GridhaulError, NotAnObject, OutcomeUnknown
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.model import Delivery, RemoteObject
from tasks.checking.examination import Examination
from tasks.runtime import Runtime

DELIVERIES_A_STEP = 10  # Each delivery costs at least one request to its target.
GONE_LATER = "The object was right when it was delivered: deliver the file again, under another name."


class ObjectsExaminer:
    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._objects = runtime.checking.objects
        self._targets = runtime.targets
        self._examination = examination
        self._silent: set[str] = set()  # targets that did not answer in this slice

    async def look(self, cursor: Cursor) -> Cursor | None:
        file = self._examination.file
        deliveries = await self._objects.delivered(
            after=cursor.after, of_file=file.id if file else None, limit=DELIVERIES_A_STEP
        )
        for delivery in deliveries:
            if delivery.target not in self._silent and not await self._objects.is_superseded(delivery):
                await self._look(delivery)
        return Cursor(stage=cursor.stage, after=deliveries[-1].id) if len(deliveries) == DELIVERIES_A_STEP else None

    async def _look(self, delivery: Delivery) -> None:
        try:
            found = await self._ask(delivery)
        except OutcomeUnknown:  # the target does not tell what it holds, or gives it back only in another form
            return
        except GridhaulError as error:
            self._silent.add(delivery.target)
            finding = Finding(code=FindingCode.TARGET_SILENT, detail=error.detail, target=delivery.target)
            self._examination.give_up(finding, "Its objects were not checked.")
            return
        wrong = _judge(delivery, found)
        if wrong is None or await self._objects.is_superseded(delivery):
            return
        code, detail = wrong
        name = delivery.final_name or delivery.object_name
        here = {"file_id": delivery.file_id, "delivery_id": delivery.id, "target": delivery.target, "name": name}
        self._examination.give_up(Finding(code=code, detail=detail, **here), GONE_LATER)  # type: ignore[arg-type]

    async def _ask(self, delivery: Delivery) -> RemoteObject | None:
        """Return the object at the target; None if there is none.

        It is read if the check is to read objects back and the target does not tell the digest. It is also read if the
        target tells another length or digest, because the target may speak of another form of the object.
        """
        target = await self._targets.get(delivery.target)
        name = delivery.final_name or delivery.object_name
        try:
            found = await target.find(name, length=delivery.length)
        except NotAnObject:
            return None
        enough = found is None or found.sha256 or not self._examination.check.read_targets
        if enough and (found is None or _judge(delivery, found) is None):
            return found
        return await target.read_back(name, length=delivery.length, sha256=delivery.sha256)


def _judge(delivery: Delivery, found: RemoteObject | None) -> tuple[FindingCode, str] | None:
    if found is None:
        return FindingCode.OBJECT_MISSING, "No object is under the name."
    if found.length != delivery.length:
        return FindingCode.OBJECT_DIFFERS, f"It has {found.length} bytes instead of {delivery.length}."
    if found.sha256 and found.sha256 != delivery.sha256:
        return FindingCode.OBJECT_DIFFERS, "It has another SHA-256."
    return None

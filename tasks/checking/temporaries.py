"""The stage that looks for temporary objects which deliveries left at their targets."""

from contextlib import aclosing
from functools import partial

from gridhaul.transfer.checks import Cursor
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError, OutcomeUnknown
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.naming import delivery_of_temporary
from gridhaul.transfer.ports.checking import Folder
from gridhaul.transfer.ports.targets import Listing, Target
from tasks.checking.examination import Examination
from tasks.runtime import Runtime

SEPARATOR = "\n"  # between target and folder in a cursor; no name holds a line break


class TemporariesExaminer:
    """The stage lists the folders that deliveries name, at targets that can list folders. A step lists one folder."""

    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._objects = runtime.checking.objects
        self._targets = runtime.targets
        self._examination = examination

    async def look(self, cursor: Cursor) -> Cursor | None:
        following = await self._following(cursor)
        if following is None:
            return None
        target_name, folder = following
        try:
            target = await self._targets.get(target_name)
            if isinstance(target, Listing):
                await self._look(target, target, folder)
        except OutcomeUnknown:  # the target cannot list: only the leftovers in the records are known
            pass
        except DatabaseUnavailable:  # the database is silent, not the target
            raise
        except GridhaulError as error:
            finding = Finding(code=FindingCode.TARGET_SILENT, detail=error.detail, target=target_name, name=folder)
            self._examination.give_up(finding, "Its temporary objects were not looked for.")
        return Cursor(stage=cursor.stage, after=SEPARATOR.join(following))

    async def _following(self, cursor: Cursor) -> Folder | None:
        file = self._examination.file
        target, _, folder = cursor.after.partition(SEPARATOR)
        return await self._objects.next_folder((target, folder) if cursor.after else None, file.id if file else None)

    async def _look(self, listing: Listing, target: Target, folder: str) -> None:
        async with aclosing(listing.names(folder)) as names:
            async for name in names:
                delivery_id = delivery_of_temporary(name)
                delivery = await self._objects.over_long_ago(delivery_id) if delivery_id else None
                # An object without such a delivery belongs to another system, or to a delivery that is not over.
                if delivery is None or delivery.target != target.name:
                    continue
                path = f"{folder}/{name}" if folder else name
                finding = Finding(
                    code=FindingCode.TEMPORARY_LEFT,
                    detail=f"Its delivery is {delivery.state}.",
                    file_id=delivery.file_id,
                    delivery_id=delivery.id,
                    target=target.name,
                    name=path,
                )
                await self._examination.settle(finding, partial(_remove, target, path))


async def _remove(target: Target, name: str) -> bool:
    await target.remove(name)
    return True

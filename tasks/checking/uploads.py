"""The stage that looks for uploads which deliveries have begun at their targets, and which no record names."""

from functools import partial

from gridhaul.transfer.checks import Cursor
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError, OutcomeUnknown, TargetUnknown
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.ports.checking import OrphanedUpload
from gridhaul.transfer.ports.targets import KeepsUploads, UnfinishedUpload
from tasks.checking.examination import Examination
from tasks.runtime import Runtime


class UploadsExaminer:
    """The stage lists the unfinished uploads of each target that deliveries name. A step looks at one target."""

    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._uploads = runtime.checking.uploads
        self._targets = runtime.targets
        self._examination = examination

    async def look(self, cursor: Cursor) -> Cursor | None:
        name = await self._uploads.next_target(after=cursor.after)
        if name is None:
            return None
        try:
            target = await self._targets.get(name)
            if isinstance(target, KeepsUploads):
                await self._look(target, name)
        except (TargetUnknown, OutcomeUnknown):  # without its section, or without a list, nobody can look
            pass
        except DatabaseUnavailable:  # the database is silent, not the target
            raise
        except GridhaulError as error:
            finding = Finding(code=FindingCode.TARGET_SILENT, detail=error.detail, target=name)
            self._examination.give_up(finding, "Its unfinished uploads were not looked for.")
        return Cursor(stage=cursor.stage, after=name)

    async def _look(self, target: KeepsUploads, name: str) -> None:
        for orphan in await self._uploads.orphaned(name, await target.unfinished()):
            await self._examination.settle(_finding(orphan, name), partial(_abort, target, orphan.upload))


def _finding(orphan: OrphanedUpload, target: str) -> Finding:
    return Finding(
        code=FindingCode.UPLOAD_LEFT,
        detail="It was begun for the delivery, and no record names it.",
        delivery_id=orphan.delivery_id,
        file_id=orphan.file_id,
        target=target,
        name=orphan.upload.name,
        upload_id=orphan.upload.upload_id,
    )


async def _abort(target: KeepsUploads, upload: UnfinishedUpload) -> bool:
    await target.abort(upload)
    return True

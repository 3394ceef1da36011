"""The stage that looks for uploads which deliveries have begun at their targets, and which no record names."""

from functools import partial

from gridhaul.transfer.checks import Cursor
from gridhaul.transfer.errors import (
    DatabaseUnavailable,
    GridhaulError,
    OutcomeUnknown,
    TargetInconsistent,
    TargetUnknown,
)
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.ports.checking import BegunUpload
from gridhaul.transfer.ports.targets import KeepsUploads
from tasks.checking.examination import Examination
from tasks.runtime import Runtime

SEPARATOR = "\n"  # between a target and the place in its listing; no target's name holds a line break
PAGES_MOST = 10_000  # of one target: a server may go round in circles, and the next stages shall have their turn


class UploadsExaminer:
    """The stage lists the unfinished uploads of each target that deliveries name. A step looks at one page."""

    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._uploads = runtime.checking.uploads
        self._targets = runtime.targets
        self._examination = examination

    async def look(self, cursor: Cursor) -> Cursor | None:
        last, _, place = cursor.after.partition(SEPARATOR)
        name = last if place else await self._uploads.next_target(after=last)
        if name is None:
            return None
        following = await self._listed(name, place, cursor.n)
        if not following:
            return Cursor(stage=cursor.stage, after=name)
        return Cursor(stage=cursor.stage, after=f"{name}{SEPARATOR}{following}", n=cursor.n + 1)

    async def _listed(self, name: str, place: str, page: int) -> str:
        """Look at a page of the target's uploads. Return the place of the next page; "" if there is none."""
        try:
            target = await self._targets.get(name)
            if isinstance(target, KeepsUploads):
                following = await self._look(target, name, place)
                _require_end(following, page)
                return following
        except (TargetUnknown, OutcomeUnknown):  # without its section, or without a list, nobody can look
            pass
        except DatabaseUnavailable:  # the database is silent, not the target
            raise
        except GridhaulError as error:
            finding = Finding(code=FindingCode.TARGET_SILENT, detail=error.detail, target=name)
            self._examination.give_up(finding, "Its unfinished uploads were not looked for.")
        return ""

    async def _look(self, target: KeepsUploads, name: str, place: str) -> str:
        asked_at = await self._uploads.now()
        page = await target.unfinished(after=place)
        for begun in await self._uploads.begun(name, page.uploads, asked_at=asked_at):
            if not await self._uploads.may_be_named(begun.upload):
                await self._examination.settle(_finding(begun, name), partial(target.abort, begun.upload))
        return page.following


def _require_end(following: str, page: int) -> None:
    if following and page + 1 >= PAGES_MOST:
        raise TargetInconsistent(f"The target's listing of uploads has no end within {PAGES_MOST} pages.")


def _finding(begun: BegunUpload, target: str) -> Finding:
    return Finding(
        code=FindingCode.UPLOAD_LEFT,
        detail="It was begun for the delivery, and no record names it.",
        delivery_id=begun.delivery_id,
        file_id=begun.file_id,
        target=target,
        name=begun.upload.name,
        upload_id=begun.upload.upload_id,
    )

"""The stages that look for stored bytes without a record, and for contents without a file."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gridhaul.transfer.checks import Cursor, Stage
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.model import RecordId
from tasks.checking.examination import Examination
from tasks.runtime import Runtime

IDS_A_STEP = 100


class _ListIds(Protocol):
    async def __call__(self, *, after: str, limit: int) -> Sequence[RecordId]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Family:
    """One kind of stored bytes: how their ids are listed, the code of orphans, and how an orphan is removed."""

    list_ids: _ListIds
    code: FindingCode
    remove: Callable[[RecordId], Awaitable[bool]]


class OrphansExaminer:
    """The stages that list the ids of stored bytes first, and look for their records afterwards.

    A content's record is made before its bytes, so an id without a record never gets one.
    """

    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        orphans = runtime.checking.orphans
        self._orphans = orphans
        self._examination = examination
        self._families = {
            Stage.CHUNKS: _Family(
                list_ids=orphans.with_chunks, code=FindingCode.CHUNKS_ORPHANED, remove=orphans.remove_chunks
            ),
            Stage.INLINE: _Family(
                list_ids=orphans.with_inline, code=FindingCode.INLINE_ORPHANED, remove=orphans.remove_inline
            ),
            Stage.MANIFESTS: _Family(
                list_ids=orphans.with_manifest, code=FindingCode.MANIFEST_ORPHANED, remove=orphans.remove_manifest
            ),
            Stage.BUCKET_FILES: _Family(
                list_ids=orphans.with_bucket_file,
                code=FindingCode.BUCKET_FILE_ORPHANED,
                remove=orphans.remove_bucket_file,
            ),
        }

    async def look(self, cursor: Cursor) -> Cursor | None:
        family = self._families[cursor.stage]
        ids = await family.list_ids(after=cursor.after, limit=IDS_A_STEP)
        for content_id in await self._orphans.orphaned(ids):
            if family.code is FindingCode.CHUNKS_ORPHANED and not await self._orphans.has_chunks(content_id):
                continue  # another user of the bucket stored these chunks
            finding = Finding(code=family.code, detail="No content and no file has this id.", content_id=content_id)
            await self._examination.settle(finding, partial(family.remove, content_id))
        return Cursor(stage=cursor.stage, after=ids[-1]) if len(ids) == IDS_A_STEP else None


class UnreferencedExaminer:
    """The stage that lists contents first, and looks for the files that refer to them afterwards."""

    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._orphans = runtime.checking.orphans
        self._contents = runtime.contents
        self._examination = examination

    async def look(self, cursor: Cursor) -> Cursor | None:
        unreferenced, following = await self._orphans.unreferenced(after=cursor.after, limit=IDS_A_STEP)
        for content in unreferenced:
            detail = f"It is {content.state}, and no file refers to it."
            finding = Finding(code=FindingCode.CONTENT_UNREFERENCED, detail=detail, content_id=content.id)
            await self._examination.settle(finding, partial(self._contents.abandon, content))
        return Cursor(stage=cursor.stage, after=following) if following else None

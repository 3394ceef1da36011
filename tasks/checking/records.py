"""The stages that look at records: stored files whose content is missing or differs, and stalled records."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial

from gridhaul.transfer.checks import Cursor
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.model import Content, File
from gridhaul.transfer.ports.checking import RecordKind, StalledRecord
from gridhaul.transfer.states import ContentState, FileState
from tasks.checking.examination import Examination
from tasks.runtime import Runtime

FILES_A_STEP = 200
NO_BYTES = "The bytes are gone: register the file's source anew."
NO_TRUTH = "Which record is right cannot be known: register the file's source anew."


class FilesExaminer:
    """The stage that checks that every stored file has a sealed content of the same length and digests."""

    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._files = runtime.files
        self._contents = runtime.contents
        self._stalled_records = runtime.checking.stalled_records
        self._inspection = runtime.checking.inspection
        self._examination = examination

    async def look(self, cursor: Cursor) -> Cursor | None:
        only = self._examination.file
        files = [only] if only else await self._stalled_records.stored_files(after=cursor.after, limit=FILES_A_STEP)
        for file in files:
            if file.state is FileState.STORED:
                await self._look(file)
        return Cursor(stage=cursor.stage, after=files[-1].id) if len(files) == FILES_A_STEP else None

    async def _look(self, file: File) -> None:
        if await self._fault(file) is None:
            return
        await self._inspection.catch_up()
        fault = await self._fault(file)
        again = await self._files.get(file.id)
        # A file that was deleted in the meantime needs no content.
        if fault is not None and again is not None and again.state is FileState.STORED:
            code, detail, why_not = fault
            finding = Finding(code=code, detail=detail, file_id=file.id, content_id=file.content_id)
            self._examination.give_up(finding, why_not)

    async def _fault(self, file: File) -> tuple[FindingCode, str, str] | None:
        """Return the fault's code, what is wrong, and why it cannot be repaired; None if nothing is wrong."""
        content = await self._contents.get(file.content_id) if file.content_id else None
        if content is None:
            return FindingCode.CONTENT_MISSING, "There is no record of its content.", NO_BYTES
        if content.state is not ContentState.SEALED:
            return FindingCode.CONTENT_MISSING, f"Its content is {content.state}.", NO_BYTES
        difference = _difference(file, content)
        return (FindingCode.CONTENT_MISMATCH, difference, NO_TRUTH) if difference else None


class StalledRecordsExaminer:
    """The stage for stalled records. One step does them all: only a system that is badly wrong has many."""

    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._stalled_records = runtime.checking.stalled_records
        self._examination = examination

    async def look(self, cursor: Cursor) -> Cursor | None:
        only, stalled_records = self._examination.file, self._stalled_records
        await self._settle(FindingCode.LEASE_STALE, stalled_records.stale_leases(only), stalled_records.end_lease)
        await self._settle(FindingCode.OFF_AGENDA, stalled_records.off_agenda(only), stalled_records.put_on_agenda)
        await self._settle(FindingCode.CLAIM_STALE, stalled_records.stale_claims(only), stalled_records.end_claim)
        return None

    async def _settle(
        self,
        code: FindingCode,
        all_found: AsyncGenerator[StalledRecord],
        mend: Callable[[StalledRecord], Awaitable[bool]],
    ) -> None:
        async with aclosing(all_found):
            async for found in all_found:
                finding = Finding(
                    code=code,
                    detail=f"{found.kind.value} {found.id} is {found.state}.",
                    content_id=found.id if found.kind is RecordKind.CONTENT else None,
                    file_id=found.file_id,
                    delivery_id=found.id if found.kind is RecordKind.DELIVERY else None,
                    name=found.id if found.kind is RecordKind.CHECK else None,
                )
                await self._examination.settle(finding, partial(mend, found))


def _difference(file: File, content: Content) -> str:
    """Return a sentence that names the fields on which the records disagree, or "" if they agree."""
    pairs = {
        "length": (file.length, content.length),
        "sha-256": (file.sha256, content.sha256),
        "manifest root": (file.manifest_root, content.manifest_root),
    }
    wrong = [name for name, (one, other) in pairs.items() if one != other]
    return f"File and content disagree on: {', '.join(wrong)}." if wrong else ""

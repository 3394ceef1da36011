"""The stage that compares the bytes that each account counts with the sum over its files."""

from functools import partial

from gridhaul.transfer.checks import Cursor
from gridhaul.transfer.findings import Finding, FindingCode
from tasks.checking.examination import Examination
from tasks.runtime import Runtime


class UsageExaminer:
    """The stage recounts one account in each step. An account in use just now is left to the next check."""

    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._recounts = runtime.checking.recounts
        self._examination = examination

    async def look(self, cursor: Cursor) -> Cursor | None:
        found = await self._recounts.next(after=cursor.after)
        if found is None:
            return None
        if found.counted_bytes != found.used_bytes:
            detail = f"It counts {found.used_bytes} bytes; its files take {found.counted_bytes}."
            finding = Finding(code=FindingCode.USAGE_WRONG, detail=detail, name=found.owner)
            await self._examination.settle(finding, partial(self._recounts.set_right, found))
        return Cursor(stage=cursor.stage, after=found.owner)

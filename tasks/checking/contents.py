"""The stage that compares every stored chunk with the manifest, a few chunks at a time."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from gridhaul.transfer.checks import Cursor
from gridhaul.transfer.chunking import page_count
from gridhaul.transfer.findings import Finding, FindingCode
from gridhaul.transfer.judgement import Cure, Expected, Fault, StoredChunk, judge
from gridhaul.transfer.model import Content
from gridhaul.transfer.states import Layout
from tasks.checking.examination import Examination, Mend
from tasks.checking.expectation import Expectation, expectation_of
from tasks.checking.restoring import Restorer
from tasks.runtime import Runtime

CHUNKS_A_STEP = 8
NO_TRUTH = "No stored digests give the content's root any more: register the file's source anew."


class ContentsExaminer:
    def __init__(self, runtime: Runtime, examination: Examination) -> None:
        self._inspection = runtime.checking.inspection
        self._mending = runtime.checking.mending
        self._examination = examination
        self._tally = examination.tally
        self._restorer = Restorer(runtime, examination.tally)
        self._expectation: Expectation | None = None

    async def look(self, cursor: Cursor) -> Cursor | None:
        if cursor.at is None:
            content = await self._next(cursor)
            if content is None:
                return None
            await self._begin(content)
            return replace(cursor, at=content.id, n=0)
        content = await self._inspection.sealed(cursor.at)
        if content is None or cursor.n >= content.chunk_count:  # the content was deleted, or has no more chunks
            self._tally.content_done()
            return Cursor(stage=cursor.stage, after=cursor.at)
        await self._chunks(content, cursor.n)
        return replace(cursor, n=cursor.n + CHUNKS_A_STEP)

    async def _next(self, cursor: Cursor) -> Content | None:
        file = self._examination.file
        if file is None:
            return await self._inspection.next_sealed(after=cursor.after)
        return await self._inspection.sealed(file.content_id) if file.content_id and not cursor.after else None

    async def _begin(self, content: Content) -> None:
        """Settle the faults of the content as a whole: the manifest, chunks past the end, the `fs.files` document."""
        expectation = await self._expect(content)
        if not expectation.manifest_is_whole:
            await self._inspection.catch_up()
            expectation = self._expectation = await expectation_of(content, self._inspection)
            if not expectation.manifest_is_whole:
                await self._manifest(content, expectation)
        for n in await self._inspection.strays(content):
            detail = f"The content has {content.chunk_count} chunks."
            finding = self._finding(FindingCode.CHUNK_EXTRA, content, detail, n)
            await self._settle_known(expectation, finding, partial(self._mending.drop_stray, content, n))
        if content.layout is Layout.GRIDFS and not await self._is_published(content):
            finding = self._finding(FindingCode.BUCKET_FILE_MISSING, content, "Other GridFS clients do not see it.")
            await self._settle_known(expectation, finding, partial(self._mending.publish, content))

    async def _settle_known(self, expectation: Expectation, finding: Finding, mend: Mend) -> None:
        """Settle the finding, but repair nothing while neither manifest nor stored digests give the manifest root.

        In that case the record with the root may be the damaged part.
        """
        if expectation.known:
            await self._examination.settle(finding, mend)
        else:
            self._examination.give_up(finding, NO_TRUTH)

    async def _is_published(self, content: Content) -> bool:
        """Return whether the `fs.files` document is as sealing wrote it, or the content was deleted meanwhile."""
        if await self._inspection.is_published(content):
            return True
        await self._inspection.catch_up()
        return await self._inspection.is_published(content) or not await self._inspection.sealed(content.id)

    async def _manifest(self, content: Content, expectation: Expectation) -> None:
        if not await self._inspection.sealed(content.id):
            return
        detail = "The manifest's pages do not give the content's root."
        finding = self._finding(FindingCode.MANIFEST_DAMAGED, content, detail)
        if expectation.known:
            await self._examination.settle(finding, partial(self._write_manifest, content, expectation))
        else:
            self._examination.give_up(finding, NO_TRUTH)

    async def _write_manifest(self, content: Content, expectation: Expectation) -> bool:
        pages = range(page_count(content.length))
        written = [await self._mending.write_manifest(content, page, await expectation.page(page)) for page in pages]
        return any(written)

    async def _chunks(self, content: Content, first: int) -> None:
        expectation = await self._expect(content)
        numbers = range(first, min(first + CHUNKS_A_STEP, content.chunk_count))
        wanted = [await expectation.of(n) for n in numbers]
        checked_bytes, faults = await self._judge(content, wanted)
        if faults:
            await self._inspection.catch_up()
            _, faults = await self._judge(content, wanted)
        # A content that was deleted in the meantime is not damaged.
        if faults and await self._inspection.sealed(content.id):
            for expected, fault in faults:
                await self._settle(content, expectation, expected, fault)
        self._tally.checked(checked_bytes)

    async def _judge(self, content: Content, wanted: Sequence[Expected]) -> tuple[int, list[tuple[Expected, Fault]]]:
        """Return how many bytes are stored under the wanted chunk numbers, and the faults of these chunks."""
        stored = await self._inspection.chunks(content, wanted[0].n, len(wanted))
        return sum(len(chunk.data) for chunk in stored), await asyncio.to_thread(_judge_all, wanted, stored)

    async def _settle(self, content: Content, expectation: Expectation, expected: Expected, fault: Fault) -> None:
        place = await expectation.number_of(fault.holds, near=fault.n) if fault.holds else None
        if place is None:
            finding = self._finding(fault.code, content, fault.detail, fault.n)
        else:
            detail = f"The data is that of chunk {place}."
            finding = self._finding(FindingCode.CHUNK_MISPLACED, content, detail, fault.n)
        if expected.digest is None:
            self._examination.give_up(finding, NO_TRUTH)
        elif fault.cure is Cure.FETCH:
            restore = partial(self._restorer.restore, content, fault.n, expected.digest)
            await self._examination.settle(finding, restore, can_mend=partial(self._restorer.possible, content))
        elif fault.cure is Cure.DROP_DOUBLES:
            drop = partial(self._mending.drop_doubles, content, fault.n, fault.key, expected.digest)
            await self._examination.settle(finding, drop)
        else:
            page = await expectation.page(0)  # the whole manifest, if the content is inline
            correct = partial(self._mending.set_digest, content, fault.n, fault.key, page, expected.digest)
            await self._examination.settle(finding, correct)

    async def _expect(self, content: Content) -> Expectation:
        if self._expectation is None or self._expectation.content.id != content.id:
            self._expectation = await expectation_of(content, self._inspection)
        return self._expectation

    def _finding(self, code: FindingCode, content: Content, detail: str, n: int | None = None) -> Finding:
        file_id = content.refs[0] if content.refs else None
        return Finding(code=code, detail=detail, content_id=content.id, file_id=file_id, n=n)


def _judge_all(wanted: Sequence[Expected], stored: Sequence[StoredChunk]) -> list[tuple[Expected, Fault]]:
    by_number: defaultdict[int, list[StoredChunk]] = defaultdict(list)
    for chunk in stored:
        by_number[chunk.n].append(chunk)
    return [(expected, fault) for expected in wanted for fault in judge(expected, by_number[expected.n])]

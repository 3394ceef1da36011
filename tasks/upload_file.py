"""The journey from a source file to a stored content."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from gridhaul.storage.source import Source
from gridhaul.tokens import ContentGrant
from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS
from gridhaul.transfer.digest import DIGEST_BYTES
from gridhaul.transfer.errors import SourceChanged
from gridhaul.transfer.model import File, Hint, NewDelivery, RecordId, Segment, TaskName
from gridhaul.transfer.states import STORABLE, FileState
from tasks.attempt import Meter
from tasks.celery import app
from tasks.runtime import Runtime, worker

ENTRY_BYTES = 1 + DIGEST_BYTES


@app.task(name=TaskName.UPLOAD_FILE)
def upload_file(file_id: str) -> None:
    """Celery's shell."""
    worker.run(store_file, file_id)


async def store_file(runtime: Runtime, file_id: str) -> None:
    """Claim the file and store it. No claim, no work."""
    record_id = RecordId(file_id)
    file = await runtime.files.claim(record_id, holder=runtime.holder, from_states=STORABLE, to_state=FileState.STORING)
    if file is not None:
        meter = Meter(file.stored_bytes, lambda meter: {"stored_bytes": meter.furthest})
        await runtime.file_attempts.run(file, lambda _: _store(runtime, file, meter), meter)
    await _make_delivery(runtime, record_id)


async def _store(runtime: Runtime, file: File, meter: Meter) -> None:
    source = await Source.open(file.path, runtime.settings.roots)
    try:
        source.require(file.identity)
        held = await _open_content(runtime, file)
        reader = source.read(file.length)
        async with aclosing(reader.segments(runtime.settings.segment_chunks)) as segments:
            await _send_missing(runtime, segments, held, meter)
        source.require(file.identity)
    finally:
        source.close()
    seal = reader.seal()
    layout = await runtime.chunks.seal(held.grant, seal)
    await runtime.files.finish(
        file.lease,
        FileState.STORED,
        sha256=seal.sha256,
        manifest_root=seal.manifest_root,
        layout=layout,
        stored_bytes=file.length,
        fruitless_attempts=0,
        rate=meter.rate,
    )


async def _open_content(runtime: Runtime, file: File) -> "_Held":
    """The content that an earlier attempt began, or a new one, taken over with this lease's fence."""
    content_id = file.content_id or runtime.contents.new_id()
    if file.content_id is None:  # the file knows its content before that exists: no content without a file
        await runtime.files.renew(file.lease, content_id=content_id)
    await runtime.contents.open(
        content_id,
        file_id=file.id,
        filename=file.name,
        content_type=file.content_type,
        length=file.length,
        fence=file.fence,
    )
    grant = ContentGrant(content_id=content_id, fence=file.fence)
    return _Held(runtime, grant, ask=file.content_id is not None)


async def _send_missing(runtime: Runtime, segments: AsyncIterator[Segment], held: "_Held", meter: Meter) -> None:
    """Send what the chunk service does not have, a few segments at a time."""
    slots = asyncio.Semaphore(runtime.settings.segments_in_flight)

    async def send(part: Segment) -> None:
        try:
            await runtime.chunks.put(held.grant, part)
            meter.add(part.length)
        finally:
            slots.release()

    try:
        async with asyncio.TaskGroup() as sending:
            async for segment in segments:
                missing = await held.missing(segment)
                meter.skip(segment.length - sum(part.length for part in missing))
                for part in missing:
                    await slots.acquire()
                    sending.create_task(send(part))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


class _Held:
    """What the chunk service holds of a content, asked for page by page; nothing, for a new content."""

    def __init__(self, runtime: Runtime, grant: ContentGrant, *, ask: bool) -> None:
        self._runtime = runtime
        self._ask = ask
        self._page = (-1, b"")
        self.grant = grant

    async def missing(self, segment: Segment) -> list[Segment]:
        """The runs of the segment that are not held. Raises SourceChanged if other bytes are."""
        if not self._ask:
            return [segment]
        runs: list[list[int]] = []
        for position, digest in enumerate(segment.digests):
            held = await self._digest(segment.first + position)
            if held is None and runs and runs[-1][1] == position:
                runs[-1][1] += 1
            elif held is None:
                runs.append([position, position + 1])
            elif held != digest:
                raise SourceChanged("The source is not what an earlier attempt read; prepare it again.")
        return [segment.part(start, stop) for start, stop in runs]

    async def _digest(self, n: int) -> bytes | None:
        page, at = divmod(n, MANIFEST_PAGE_CHUNKS)
        if page != self._page[0]:
            first = page * MANIFEST_PAGE_CHUNKS
            answer = await self._runtime.chunks.digests(self.grant, first=first, count=MANIFEST_PAGE_CHUNKS)
            self._page = (page, answer)
        entry = self._page[1][at * ENTRY_BYTES : (at + 1) * ENTRY_BYTES]
        return entry[1:] if entry and entry[0] else None


async def _make_delivery(runtime: Runtime, file_id: RecordId) -> None:
    """The delivery that prepare asked for; whoever sees the file stored makes it, and it is only made once."""
    file = await runtime.files.get(file_id)
    if file is None or file.state is not FileState.STORED or file.deliver_to is None or file.sha256 is None:
        return
    new = NewDelivery(
        file_id=file.id,
        owner=file.owner,
        destination=file.deliver_to,
        length=file.length,
        sha256=file.sha256,
        queue=file.queue,
    )
    queued = await runtime.deliveries.make(new)
    await runtime.files.delivery_made(file_id)
    if queued:
        runtime.hints.offer(Hint(task=TaskName.FINALIZE_FILE, record_id=new.id, queue=new.queue))

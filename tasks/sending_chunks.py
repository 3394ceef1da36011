"""Sends the chunks of a claimed file that the chunk service does not hold yet."""

import asyncio
from collections.abc import AsyncIterator

from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS
from gridhaul.transfer.digest import DIGEST_BYTES
from gridhaul.transfer.errors import SourceChanged, SourceReadFailed
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.model import File, RecordId, Segment
from tasks.attempt import Meter, Tenure
from tasks.runtime import Runtime

ENTRY_BYTES = 1 + DIGEST_BYTES


class HeldChunks:
    """The digests that the chunk service holds of a content, asked for page by page. With `ask` False it holds none."""

    def __init__(self, runtime: Runtime, grant: ContentGrant, *, ask: bool) -> None:
        self._runtime = runtime
        self._ask = ask
        self._page = (-1, b"")
        self.grant = grant

    async def missing(self, segment: Segment) -> list[Segment]:
        """Return the segment's runs of chunks that are not stored. Raises SourceChanged if other bytes are stored."""
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
                raise SourceChanged("The source is not what an earlier attempt read; retry stores it as it is now.")
        return [segment.part(start, stop) for start, stop in runs]

    async def _digest(self, n: int) -> bytes | None:
        page, at = divmod(n, MANIFEST_PAGE_CHUNKS)
        if page != self._page[0]:
            first = page * MANIFEST_PAGE_CHUNKS
            answer = await self._runtime.chunks.digests(self.grant, first=first, count=MANIFEST_PAGE_CHUNKS)
            self._page = (page, answer)
        entry = self._page[1][at * ENTRY_BYTES : (at + 1) * ENTRY_BYTES]
        return entry[1:] if entry and entry[0] else None


async def open_content(runtime: Runtime, file: File, tenure: Tenure) -> HeldChunks:
    """Open the content that an earlier attempt began, or a new content, with this lease's fence."""
    began = None if file.content_outdated else file.content_id
    content_id = began or await _new_content(runtime, file)
    tenure.check()  # a worker that has lost the lease must not make a content that the file no longer names
    await runtime.contents.open(
        content_id,
        file_id=file.id,
        filename=file.name,
        content_type=file.content_type,
        length=file.length,
        fence=file.fence,
    )
    grant = ContentGrant(content_id=content_id, fence=file.fence)
    return HeldChunks(runtime, grant, ask=began is not None)


async def _new_content(runtime: Runtime, file: File) -> RecordId:
    """Drop the file's old content, write a new content's id into the file, and return the id.

    The file names a content before the content exists, and until it is dropped: so no content exists without a file.
    """
    if file.content_id is not None:
        await runtime.contents.drop_ref(file.content_id, file.id)
    content_id = runtime.contents.new_id()
    await runtime.files.renew(file.lease, content_id=content_id, content_outdated=False)
    return content_id


async def send_missing(runtime: Runtime, segments: AsyncIterator[Segment], held: HeldChunks, meter: Meter) -> None:
    """Send the chunks that the chunk service does not hold, a few segments at a time.

    Raises SourceReadFailed after it has stored all that was read before.
    """
    slots = asyncio.Semaphore(runtime.settings.segments_in_flight)

    async def send(part: Segment) -> None:
        try:
            await runtime.chunks.put(held.grant, part)
            meter.add(part.length)
        finally:
            slots.release()

    async def send_all(sending: asyncio.TaskGroup) -> None:
        async for segment in segments:
            missing = await held.missing(segment)
            meter.skip(segment.length - sum(part.length for part in missing))
            for part in missing:
                await slots.acquire()
                sending.create_task(send(part))

    unread: SourceReadFailed | None = None
    try:
        async with asyncio.TaskGroup() as sending:
            try:
                await send_all(sending)
            except SourceReadFailed as failed:  # an error that left the group would cancel what is on its way
                unread = failed
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    if unread is not None:
        raise unread

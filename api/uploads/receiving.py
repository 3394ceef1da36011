"""The body of a request on its way into an ordered upload: chunks, segments, the offset, and the open tail.

Bytes are acknowledged by the offset alone. It moves over whole segments in their order, once they are durable. If the
body ends early, for whatever reason, all that has arrived is stored: bytes that fill no chunk become the open tail.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from starlette.requests import ClientDisconnect

from api.uploads.holding import Held
from api.uploads.parts import UploadParts, grant_of, require_allowed, reserved_length, upload_of
from api.uploads.running_digests import RunningDigest, digest_of_new, hashed
from gridhaul.transfer.bundle import BUNDLED_FILE_BYTES
from gridhaul.transfer.chunking import CHUNK_BYTES, SEGMENT_MAX_CHUNKS
from gridhaul.transfer.errors import ChunkMissing, PayloadTooLarge, RequestTimeout, UploadTakenOver
from gridhaul.transfer.model import Segment
from gridhaul.transfer.pieces import Pieces

SEGMENTS_IN_FLIGHT = 2
GRACE_SECONDS = 0.25  # how long a request that is to end still reads


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sent:
    """A segment that is on its way, and what holds once it is durable."""

    storing: asyncio.Task[None]
    offset: int
    digest: RunningDigest | None


class Receiving:
    """One request that appends to an upload which it holds.

    `staged`: the offset moves only when `commit` is called. `finishes`: the upload ends when all bytes are there.
    """

    def __init__(self, parts: UploadParts, held: Held, *, staged: bool = False, finishes: bool = True) -> None:
        file = held.file
        self._parts = parts
        self._held = held
        self._staged = staged
        self._finishes = finishes
        self._length = reserved_length(file)
        self._charged_to = file.stored_bytes if self._length is None else None  # None: all bytes are reserved
        is_large = self._length is not None and self._length > BUNDLED_FILE_BYTES
        self._segment_chunks = parts.memory.segment_chunks if is_large else SEGMENT_MAX_CHUNKS
        self._pieces = Pieces(itertools.repeat(CHUNK_BYTES))
        self._chunks: list[bytes] = []  # whole chunks that no segment has taken yet
        self._next = file.stored_bytes // CHUNK_BYTES  # the number of the first of these chunks
        self._known_bytes = file.stored_bytes % CHUNK_BYTES  # at the beginning of that chunk; the open tail holds them
        known = parts.digests.at(file.id, file.stored_bytes)
        self._digest = known if file.stored_bytes else digest_of_new(upload_of(file))
        self._sent: asyncio.Queue[_Sent | None] = asyncio.Queue()
        self._slots = asyncio.Semaphore(SEGMENTS_IN_FLIGHT)
        self._opened_with: tuple[int | None] | None = None  # the length with which the content was opened last
        self._tail = b""  # the last bytes, which fill no chunk, once the body has ended
        self._sent_to = file.stored_bytes  # the end of the last segment that was sent
        self.received = file.stored_bytes  # bytes of the file that have arrived
        self.offset = file.stored_bytes  # bytes of the file that are durable and noted in the record

    @property
    def is_complete(self) -> bool:
        return self._length is not None and self.received == self._length

    @property
    def whole(self) -> list[bytes] | None:
        """All chunks of a small file that arrived in this request.

        None if the file is larger, or not to be finished yet, or if some of its bytes were stored before.
        """
        is_whole = self._finishes and self.is_complete and not self.offset and self._opened_with is None
        return self._chunks if is_whole and self.received <= BUNDLED_FILE_BYTES else None

    @property
    def digest(self) -> RunningDigest | None:
        """The digest of all bytes before the offset; None if this process did not see all of them."""
        return self._digest

    async def read(self, body: AsyncIterator[bytes], *, ends_file: bool = False) -> None:
        """Read the body and store what arrives, until the body ends, breaks off, or another request takes the upload.

        With `ends_file` the file ends where the body ends. Raises what ended the body early, after everything that had
        arrived was stored, and the errors of storing. Leaves a small file that arrived whole to the caller: `whole`.
        """
        committing = asyncio.create_task(self._commit_all())
        try:
            early = await self._read_until_end(body, committing)
            if early is None and ends_file and self._length is None:
                await self._declare_length()
            if early is None or not self._staged:
                await self._send_rest()
            if early is None and self.is_complete and self.whole is None:
                await self._open_content()  # the seal needs this request's fence and the length
            self._sent.put_nowait(None)
            await committing
        finally:
            committing.cancel()
            await asyncio.wait([committing])
            await self._cancel_sent()  # what was sent after the commit had failed
        if not self._staged:
            await self._store_tail()
        if early is not None:
            raise early

    def close(self) -> None:
        """Give back the memory of chunks that were not sent."""
        self._parts.memory.free_chunks(len(self._chunks))
        self._chunks = []

    async def commit(self) -> None:
        """Move the offset over the bytes of a staged request."""
        await self._advance(self._sent_to, self._digest and self._digest.copy())
        await self._store_tail()

    async def _read_until_end(self, body: AsyncIterator[bytes], committing: asyncio.Task[None]) -> Exception | None:
        """Return None if the body was read to its end, else what ended it early."""
        reading = asyncio.create_task(self._read(body))
        ending = asyncio.create_task(self._held.must_end.wait())
        try:
            await asyncio.wait((reading, ending, committing), return_when=asyncio.FIRST_COMPLETED)
            if ending.done() and not committing.done():  # take what has arrived already
                await asyncio.wait((reading, committing), timeout=GRACE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, ending):
                task.cancel()
            await asyncio.wait((reading, ending))
        if committing.done():
            committing.result()
        if reading.cancelled():
            return UploadTakenOver("Another request continues the upload, or it was stopped.")
        error = reading.exception()
        if error is None or isinstance(error, ClientDisconnect | RequestTimeout | PayloadTooLarge):
            return error
        raise error

    async def _read(self, body: AsyncIterator[bytes]) -> None:
        await self._read_tail()
        async for part in body:
            if self._length is not None and self.received + len(part) > self._length:
                raise PayloadTooLarge(f"The upload has {self._length} bytes, and more than that were sent.")
            require_allowed(self._parts.max_file_bytes, self.received + len(part))
            self.received += len(part)
            for chunk in self._pieces.add(part):
                await self._take(chunk)
            await self._send_if_memory_is_short()

    async def _read_tail(self) -> None:
        """Begin the first chunk with the bytes of the open tail.

        The last bytes of a complete upload may be stored as a chunk already. Then the open tail must not replace it: it
        may be that of a request which was lost before the offset counted its bytes. Only the digest tells whether the
        chunk is stored. Without a digest, a worker finishes the upload, and looks for the chunk.
        """
        if not self._known_bytes or (self.is_complete and (self._digest is None or self._digest.has_last_chunk)):
            return
        content_id = self._held.file.content_id
        tail = await self._parts.contents.tail(content_id) if content_id else None
        if tail is None or tail.n != self._next or len(tail.data) < self._known_bytes:
            if self.is_complete:
                return
            raise ChunkMissing("The last bytes of the upload are not stored any more.")
        for _ in self._pieces.add(tail.data[: self._known_bytes]):
            raise AssertionError("a tail has fewer bytes than a chunk")

    async def _take(self, chunk: bytes) -> None:
        """Add a chunk to the next segment. Send the segment if it is full, or if memory is short.

        A request that waits for memory holds no chunk that is not on its way. Otherwise several requests could wait for
        each other's chunks for ever.
        """
        await self._send_if_memory_is_short()
        await self._parts.memory.take_chunk()
        self._chunks.append(chunk)
        if len(self._chunks) == self._segment_chunks:
            await self._send()

    async def _send_if_memory_is_short(self) -> None:
        """Send the chunks that no segment has taken yet, because other requests wait for their memory."""
        if self._chunks and self._parts.memory.is_short:
            await self._send()

    async def _send(self) -> None:
        """Send the chunks that no segment has taken yet. Two segments at most are on their way.

        If the request is to end while this method waits, the chunks stay where they are, and are sent in the end.
        """
        await self._open_content()
        chunks, digest = tuple(self._chunks), self._digest and self._digest.copy()
        digests = await asyncio.to_thread(hashed, chunks, digest, known_bytes=self._known_bytes)
        segment = Segment(first=self._next, chunks=chunks, digests=digests)
        await self._charge_up_to(segment.first * CHUNK_BYTES + segment.length)
        await self._slots.acquire()
        self._chunks, self._known_bytes, self._digest = [], 0, digest
        self._next += len(chunks)
        self._sent_to = segment.first * CHUNK_BYTES + segment.length
        storing = asyncio.create_task(self._parts.chunks.put(grant_of(self._held.file), segment))
        storing.add_done_callback(lambda _: self._sent_one(storing, len(chunks)))  # also if it never begins
        self._sent.put_nowait(_Sent(storing=storing, offset=self._sent_to, digest=digest))

    def _sent_one(self, storing: asyncio.Task[None], chunks: int) -> None:
        if not storing.cancelled():
            storing.exception()  # marks it as retrieved: after another error nobody waits for this task
        self._parts.memory.free_chunks(chunks)
        self._slots.release()

    async def _commit_all(self) -> None:
        """Move the offset over one segment after the other, until None follows. Raises the first error of storing."""
        try:
            while sent := await self._sent.get():
                await sent.storing
                if not self._staged:
                    await self._advance(sent.offset, sent.digest)
        finally:
            await self._cancel_sent()

    async def _cancel_sent(self) -> None:
        while not self._sent.empty():
            if sent := self._sent.get_nowait():
                sent.storing.cancel()
                await asyncio.wait([sent.storing])

    async def _advance(self, offset: int, digest: RunningDigest | None) -> None:
        await self._parts.registry.advance(self._held.lease, offset=self.offset, to_offset=offset)
        self.offset = offset
        if digest is not None:
            self._parts.digests.keep(self._held.file.id, digest)

    async def _declare_length(self) -> None:
        await self._charge_up_to(self.received)
        await self._parts.registry.declare_length(self._held.lease, self.received)
        self._length = self.received
        known = replace(upload_of(self._held.file), length_deferred=False)
        self._held.file = replace(self._held.file, length=self.received, origin=known)

    async def _send_rest(self) -> None:
        """Send what no segment has taken, except for bytes that fill no chunk while the file goes on after them."""
        self._tail = self._pieces.rest()
        if self._tail and self.is_complete:
            await self._take(self._tail)
            self._tail = b""
        if self._chunks and self.whole is None:
            await self._send()

    async def _store_tail(self) -> None:
        """Store the bytes that fill no chunk. The offset is past the tail before, which is replaced."""
        new = memoryview(self._tail)[self._known_bytes :]
        if not new:
            return
        await self._open_content()
        ends_at = self._next * CHUNK_BYTES + len(self._tail)
        await self._charge_up_to(ends_at)
        await self._parts.chunks.put_tail(grant_of(self._held.file), self._next, self._tail)
        digest = self._digest and self._digest.copy()  # the one before is kept for the offset before
        if digest is not None:
            await asyncio.to_thread(digest.update, new, ())
        await self._advance(ends_at, digest)

    async def _charge_up_to(self, offset: int) -> None:
        """Charge bytes of an unknown length before they are stored, and before the record's length counts them.

        A recount gives back what was charged and then not stored.
        """
        if self._charged_to is not None and offset > self._charged_to:
            await self._parts.usage.charge(self._held.file.owner, offset - self._charged_to)
            self._charged_to = offset

    async def _open_content(self) -> None:
        """Open the content under this request's fence before the first bytes are sent to it."""
        if self._opened_with == (self._length,):
            return
        file = self._held.file
        await self._parts.contents.open_upload(
            grant_of(self._held.file).content_id,
            file_id=file.id,
            filename=file.name,
            content_type=file.content_type,
            length=self._length,
            fence=file.fence,
        )
        self._opened_with = (self._length,)

"""The journey that joins uploads to one file (concatenation in tus 1.0.0).

The bytes of the parts become chunks of one content. Each chunk of a part is compared with the digest that it was stored
with. The parts stay as they are, because a client may use them again.
"""

import itertools
from collections.abc import Generator, Sequence
from contextlib import aclosing, closing
from dataclasses import replace

from gridhaul.process.threads import in_thread
from gridhaul.source.reader import SourceReader
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import ChunkMissing, PartGone, PartsIncomplete, PayloadTooLarge
from gridhaul.transfer.model import Content, File, RecordId
from gridhaul.transfer.pieces import Pieces
from gridhaul.transfer.ports.contents import Chunks, ContentReading
from gridhaul.transfer.states import FileState
from gridhaul.transfer.stored import fields_of_stored, require_named_digest
from tasks.attempt import Meter, Tenure
from tasks.read_back import store_tail
from tasks.runtime import Runtime
from tasks.sending_chunks import HeldChunks, open_content, send_missing

NEEDED_SECONDS = 86400.0  # complete parts are kept for at least this long once they are read
# How long parts are kept after they were joined, because a client may join them to another file, and how long those
# that have arrived are kept at least while a file waits for others.
USED_SECONDS = 3600.0


async def join_parts(runtime: Runtime, file: File) -> None:
    """Make an attempt to join the parts of a claimed file."""
    meter = Meter(file.stored_bytes, lambda meter: {"stored_bytes": meter.furthest})
    await runtime.upload_attempts.run(file, lambda tenure: _join(runtime, file, tenure, meter), meter)


async def _join(runtime: Runtime, file: File, tenure: Tenure, meter: Meter) -> None:
    parts = await _complete_parts(runtime, file)
    ids = {part.id for part in parts}
    await runtime.uploads.keep(ids, seconds=NEEDED_SECONDS)
    file = await _with_length(runtime, file, sum(part.length for part in parts))
    contents = [await _content(runtime, part) for part in parts if part.length]
    held = await open_content(runtime, file, tenure)
    reader = await _send(runtime, file, JoinedChunks(runtime.contents, contents), held, tenure, meter)
    seal = reader.seal()
    require_named_digest(file, seal)
    layout = await runtime.chunks.seal(held.grant, seal)
    await runtime.files.finish(file.lease, FileState.STORED, **fields_of_stored(seal, layout), rate=meter.rate)
    await runtime.uploads.expire_within(ids, owner=file.owner, seconds=USED_SECONDS)


async def _send(
    runtime: Runtime, file: File, joined: "JoinedChunks", held: HeldChunks, tenure: Tenure, meter: Meter
) -> SourceReader:
    """Send the chunks that are not stored, and return the reader, which has hashed all of them."""
    reader = SourceReader(joined.read, file.length, look=tenure.check)
    try:
        async with aclosing(reader.segments(runtime.settings.segment_chunks)) as segments:
            try:
                await send_missing(runtime, segments, held, meter)
            except BaseException:
                joined.stop()  # otherwise the thread that reads ahead would go on until its segment is full
                raise
    finally:
        await in_thread(joined.close)
    return reader


async def _complete_parts(runtime: Runtime, file: File) -> Sequence[File]:
    """Return the parts in their order; a part may occur more than once. Raises PartGone, PartsIncomplete."""
    assert file.upload is not None, "only uploads have parts"  # noqa: S101
    ids = [*map(RecordId, file.upload.parts)]
    found = {part.id: part for part in await runtime.files.get_all(set(ids))}
    gone = [n for n, part_id in enumerate(ids, 1) if part_id not in found or not _is_there(found[part_id])]
    if gone:
        raise PartGone(f"Part {gone[0]} of {len(ids)} was ended, or has expired; upload the file again.")
    complete = {part.id for part in found.values() if _is_complete(part)}
    missing = sum(part_id not in complete for part_id in ids)
    if missing:  # the parts that have not arrived expire if nobody goes on with them, so this does not go on for ever
        await runtime.uploads.keep(complete, seconds=USED_SECONDS)
        raise PartsIncomplete(f"{missing} of {len(ids)} parts have not arrived; the file is joined when they have.")
    return [found[part_id] for part_id in ids]


def _is_there(part: File) -> bool:
    return part.state is FileState.RECEIVING


def _is_complete(part: File) -> bool:
    return part.upload is not None and not part.upload.length_deferred and part.stored_bytes == part.length


async def _with_length(runtime: Runtime, file: File, length: int) -> File:
    """Note and charge the length of a file that was registered before the lengths of all its parts were known.

    Raises PayloadTooLarge, QuotaExceeded.
    """
    upload, most = file.upload, runtime.settings.max_file_bytes
    if upload is None or not upload.length_deferred:
        return file
    if most is not None and length > most:
        raise PayloadTooLarge(f"The parts have {length} bytes together, and a file may have at most {most} bytes.")
    await runtime.usage.charge(file.owner, length - file.length)
    known = replace(upload, length_deferred=False)
    await runtime.files.renew(file.lease, length=length, origin=known)
    return replace(file, length=length, origin=known)


async def _content(runtime: Runtime, part: File) -> Content:
    """Return the content of a part, all of whose bytes are stored as chunks."""
    content = None if part.content_id is None else await runtime.contents.get(part.content_id)
    if content is None:
        raise ChunkMissing("The bytes of a part are not stored.")
    if content.length != part.length:  # the request that named the length was lost before it noted it here, too
        content = await runtime.contents.open_upload(
            content.id,
            file_id=part.id,
            filename=part.name,
            content_type=part.content_type,
            length=part.length,
            fence=part.fence,
        )
    await store_tail(runtime, content)
    return content


class JoinedChunks:
    """The bytes of several contents, one after the other, as chunks of one content. For one thread at a time."""

    def __init__(self, contents: ContentReading, parts: Sequence[Content]) -> None:
        self._contents = contents
        self._parts = parts
        self._reading: Chunks | None = None
        self._chunks = self._cut()

    def read(self, n: int) -> bytes:
        """Return the next chunk, which has the number `n`. Raises what reading the parts raises."""
        chunk = next(self._chunks, None)
        if chunk is None:
            raise ChunkMissing(f"The parts end before chunk {n}.")
        return chunk

    def stop(self) -> None:
        """Let a `read` that waits in another thread end soon."""
        if self._reading is not None:
            self._reading.stop()

    def close(self) -> None:
        self._chunks.close()

    def _cut(self) -> Generator[bytes]:
        pieces = Pieces(itertools.repeat(CHUNK_BYTES))
        for part in self._parts:
            with closing(self._contents.read_open(part)) as self._reading:
                for chunk in self._reading:
                    yield from pieces.add(chunk)
        if rest := pieces.rest():
            yield rest

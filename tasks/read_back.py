"""The end of an upload whose digest no process has: a worker reads the stored bytes back, and seals them."""

from contextlib import closing

from gridhaul.process.threads import in_thread
from gridhaul.transfer.chunking import chunk_length
from gridhaul.transfer.digest import BodyHash, ContentDigest, ManifestRoot, body_hash, chunk_digest
from gridhaul.transfer.errors import ChunkMissing, IntegrityError
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.model import Content, File, Seal, Segment
from gridhaul.transfer.ports.contents import Chunks
from gridhaul.transfer.states import FileState
from gridhaul.transfer.stored import fields_of_stored, require_named_digest
from tasks.attempt import Meter, Tenure
from tasks.runtime import Runtime


async def read_back(runtime: Runtime, file: File) -> None:
    """Make an attempt to seal a claimed upload, all of whose bytes were acknowledged."""
    meter = Meter(file.checked_bytes, lambda meter: {"checked_bytes": meter.position})
    await runtime.upload_attempts.run(file, lambda tenure: _seal(runtime, file, tenure, meter), meter)


async def _seal(runtime: Runtime, file: File, tenure: Tenure, meter: Meter) -> None:
    content = await _open(runtime, file, tenure)
    await store_tail(runtime, content)
    chunks = runtime.contents.read_open(content)
    md5 = body_hash("md5") if file.upload and file.upload.md5 else None
    try:
        seal = await in_thread(lambda: _digested(chunks, meter, md5), when_cancelled=chunks.stop)
    finally:
        await in_thread(chunks.close)
    require_named_digest(file, seal, md5=None if md5 is None else md5.hexdigest())
    layout = await runtime.chunks.seal(ContentGrant(content_id=content.id, fence=file.fence), seal)
    await runtime.files.finish(file.lease, FileState.STORED, **fields_of_stored(seal, layout), rate=meter.rate)


async def _open(runtime: Runtime, file: File, tenure: Tenure) -> Content:
    """Take the content over with this lease's fence."""
    if file.content_id is None or await runtime.contents.get(file.content_id) is None:
        raise ChunkMissing("The bytes of the upload are not stored.")
    tenure.check()
    made_by = runtime.contents.open_upload if file.upload and file.upload.ordered else runtime.contents.open
    return await made_by(
        file.content_id,
        file_id=file.id,
        filename=file.name,
        content_type=file.content_type,
        length=file.length,
        fence=file.fence,
    )


async def store_tail(runtime: Runtime, content: Content) -> None:
    """Store the last bytes as a chunk if only the open tail holds them.

    They are there if the client named the length after the last byte, and the request that did so was lost. A chunk of
    another length does not count: it came before the length was known, with bytes that were never acknowledged.
    """
    last = content.chunk_count - 1
    if last < 0 or await in_thread(lambda: _is_stored(runtime, content, last)):
        return
    tail = await runtime.contents.tail(content.id)
    length = chunk_length(content.length, last)
    if tail is None or tail.n != last or len(tail.data) < length:
        return
    chunk = tail.data[:length]
    grant = ContentGrant(content_id=content.id, fence=content.fence)
    await runtime.chunks.put(grant, Segment(first=last, chunks=(chunk,), digests=(chunk_digest(chunk),)))


def _is_stored(runtime: Runtime, content: Content, n: int) -> bool:
    """Return whether the last chunk is stored, with its length and its digest. For threads."""
    with closing(runtime.contents.read_open(content, first=n)) as chunks:
        try:
            return any(True for _ in chunks)
        except IntegrityError:
            return False


def _digested(chunks: Chunks, meter: Meter, md5: BodyHash | None) -> Seal:
    """Return the seal of the chunks, and hash them with `md5`, too, if it is given.

    For threads. Raises what iterating over the chunks raises.
    """
    total, root = ContentDigest(), ManifestRoot()
    for chunk in chunks:
        total.update(chunk)
        root.update(chunk_digest(chunk))
        if md5 is not None:
            md5.update(chunk)
        meter.add(len(chunk))
    return Seal(length=total.length_bytes, sha256=total.hexdigest(), manifest_root=root.hexdigest())

"""A bundle's body: the table of contents, then the bytes, cut and compared with what the table says of them."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

from fastapi import Request

from chunk_service.segment_body import arriving, cut
from gridhaul.chunk_service_client.bundle_table import Entry, read_table
from gridhaul.chunk_service_client.grants import BundleGrant
from gridhaul.transfer.bundle import TABLE_MAX_BYTES, WholeContent
from gridhaul.transfer.digest import ContentDigest, chunk_digest, content_sha256, manifest_root
from gridhaul.transfer.errors import DigestMismatch, Forbidden, InvalidValue, LengthMismatch
from gridhaul.transfer.model import RecordId, Seal


async def read_bundle(
    request: Request, granted: BundleGrant, *, length: int, stall_seconds: float
) -> Sequence[WholeContent]:
    """The contents of a body of `length` bytes: they are those that the token names, whole and undamaged.

    Raises Forbidden, InvalidValue, LengthMismatch, DigestMismatch, RequestTimeout.
    """
    parts = arriving(request, stall_seconds)
    table, begun = await _table(parts)
    if content_sha256(table) != granted.table_sha256:
        raise Forbidden("The token is for another bundle.")
    entries = read_table(table)
    if len(table) + 1 + sum(entry.length for entry in entries) != length:
        raise LengthMismatch("The body must hold the table, and as many bytes as it says.")
    lengths = [length for entry in entries for length in entry.chunk_lengths]
    chunks = [chunk async for chunk in cut(_joined(begun, parts), iter(lengths))]
    return await asyncio.to_thread(_verified, entries, chunks)


async def _table(parts: AsyncIterator[bytes]) -> tuple[bytes, bytes]:
    """The first line without its end, and what came behind it."""
    begun = b""
    async for part in parts:
        begun += part
        line, end, behind = begun.partition(b"\n")
        if len(line) > TABLE_MAX_BYTES:
            break
        if end:
            return line, behind
    raise InvalidValue("The body must begin with its table of contents: a line of JSON.")


async def _joined(begun: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if begun:
        yield begun
    async for part in parts:
        yield part


def _verified(entries: Sequence[Entry], chunks: Sequence[bytes]) -> list[WholeContent]:
    rest = iter(chunks)
    return [_content(entry, tuple(itertools.islice(rest, len(entry.chunk_lengths)))) for entry in entries]


def _content(entry: Entry, chunks: tuple[bytes, ...]) -> WholeContent:
    digests = tuple(chunk_digest(chunk) for chunk in chunks)
    total = ContentDigest()
    for chunk in chunks:
        total.update(chunk)
    arrived = Seal(length=total.length_bytes, sha256=total.hexdigest(), manifest_root=manifest_root(digests))
    if arrived != entry.seal:
        raise DigestMismatch(f"Content {entry.content_id} arrived with other bytes than its digests say.")
    return WholeContent(
        id=RecordId(entry.content_id),
        fence=entry.fence,
        file_id=RecordId(entry.file_id),
        filename=entry.filename,
        content_type=entry.content_type,
        seal=entry.seal,
        chunks=chunks,
        digests=digests,
    )

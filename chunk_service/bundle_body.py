"""The body of a bundle: the table of contents, then the bytes, which are cut into chunks and checked by the table."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence

from fastapi import Request

from gridhaul.asgi.body_parts import arriving
from gridhaul.chunk_service_client.bundle_table import Entry, read_table
from gridhaul.transfer.bundle import TABLE_MAX_BYTES, WholeContent
from gridhaul.transfer.digest import chunk_digest, content_sha256, manifest_root
from gridhaul.transfer.errors import DigestMismatch, Forbidden, InvalidValue, LengthMismatch
from gridhaul.transfer.grants import BundleGrant
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.pieces import cut


async def read_bundle(
    request: Request, granted: BundleGrant, *, length: int, stall_seconds: float
) -> Sequence[WholeContent]:
    """Return the contents of a body of `length` bytes: exactly the contents that the token names, whole and undamaged.

    Raises Forbidden, InvalidValue, LengthMismatch, DigestMismatch, RequestTimeout.
    """
    parts = arriving(request, stall_seconds)
    table, first_bytes = await _table(parts)
    if content_sha256(table) != granted.table_sha256:
        raise Forbidden("The token is for another bundle.")
    entries = read_table(table)
    if len(table) + 1 + sum(entry.length for entry in entries) != length:
        raise LengthMismatch("The body must hold the table, and as many bytes as the table says.")
    lengths = [length for entry in entries for length in entry.chunk_lengths]
    chunks = [chunk async for chunk in cut(_joined(first_bytes, parts), iter(lengths))]
    return await asyncio.to_thread(_verified, entries, chunks)


async def _table(parts: AsyncIterator[bytes]) -> tuple[bytes, bytes]:
    """Return the first line without its line end, and the bytes after it that have arrived. Raises InvalidValue."""
    received = b""
    async for part in parts:
        received += part
        line, end, first_bytes = received.partition(b"\n")
        if len(line) > TABLE_MAX_BYTES:
            break
        if end:
            return line, first_bytes
    raise InvalidValue("The body must begin with its table of contents: a line of JSON.")


async def _joined(first_bytes: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if first_bytes:
        yield first_bytes
    async for part in parts:
        yield part


def _verified(entries: Sequence[Entry], chunks: Sequence[bytes]) -> list[WholeContent]:
    rest = iter(chunks)
    return [_content(entry, tuple(itertools.islice(rest, len(entry.chunk_lengths)))) for entry in entries]


def _content(entry: Entry, chunks: tuple[bytes, ...]) -> WholeContent:
    digests = tuple(chunk_digest(chunk) for chunk in chunks)
    # The lengths are right, because the bytes were cut by them. The root and the SHA-256 of the entry come from one
    # reading of the source, as they do where the chunks of a content arrive one segment after another.
    if manifest_root(digests) != entry.manifest_root:
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

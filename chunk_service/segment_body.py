"""The body of a request as chunks, which are hashed while the body arrives. Each byte is copied once."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Iterator

from fastapi import Request

from gridhaul.transfer.chunking import CHUNK_BYTES, SEGMENT_MAX_BYTES
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import LengthMismatch, LengthRequired, PayloadTooLarge, RequestTimeout


def declared_length(request: Request) -> int:
    """Return the Content-Length in bytes. Raises LengthRequired, LengthMismatch for 0, and PayloadTooLarge."""
    text = request.headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()):
        raise LengthRequired("Content-Length is needed.")
    if len(text) > 12 or int(text) > SEGMENT_MAX_BYTES:
        raise PayloadTooLarge("A body may have at most 16 MiB.")
    if int(text) == 0:
        raise LengthMismatch("A body must have at least one byte.")
    return int(text)


async def read_chunks(request: Request, *, stall_seconds: float) -> tuple[list[bytes], list[bytes]]:
    """Return the chunks of the body and their BLAKE3-256 digests.

    Raises RequestTimeout if nothing arrives for `stall_seconds`, and ClientDisconnect.
    """
    chunks: list[bytes] = []
    digests: list[bytes] = []
    async for chunk in cut(arriving(request, stall_seconds), itertools.repeat(CHUNK_BYTES)):
        chunks.append(chunk)
        # Hashing a chunk takes 0.1 to 0.5 ms. To hash it in a thread saves nothing: the handover takes as long.
        digests.append(chunk_digest(chunk))
    return chunks, digests


async def arriving(request: Request, stall_seconds: float) -> AsyncIterator[bytes]:
    """Yield the parts of the body as they arrive.

    Raises RequestTimeout if nothing arrives for `stall_seconds`, and ClientDisconnect.
    """
    parts = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(stall_seconds):
                part = await anext(parts, b"")
        except TimeoutError:
            raise RequestTimeout("The body stopped arriving.") from None
        if not part:
            return
        yield part


async def cut(parts: AsyncIterator[bytes], lengths: Iterator[int]) -> AsyncIterator[bytes]:
    """Join the parts and yield them as pieces of these lengths in bytes; the last piece may be shorter."""
    pending: list[bytes | memoryview] = []
    size, wanted = 0, next(lengths, math.inf)
    async for arrived in parts:
        part = memoryview(arrived)
        while size + len(part) >= wanted:
            taken = int(wanted) - size
            yield b"".join((*pending, part[:taken]))
            part, pending, size, wanted = part[taken:], [], 0, next(lengths, math.inf)
        if part:
            # Keep a whole part as `bytes`: `join` returns a single `bytes` object without a copy.
            pending.append(part if len(part) < len(arrived) else arrived)
            size += len(part)
    if pending:
        yield b"".join(pending)

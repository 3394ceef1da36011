"""A request's body as chunks: read as it arrives, hashed while it arrives, copied once."""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Iterator

from fastapi import Request
from starlette.requests import ClientDisconnect

from gridhaul.transfer.chunking import CHUNK_BYTES, SEGMENT_MAX_BYTES
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import LengthMismatch, LengthRequired, PayloadTooLarge, RequestTimeout


def declared_length(request: Request) -> int:
    """The body's length. Raises LengthRequired, LengthMismatch, PayloadTooLarge."""
    text = request.headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()):
        raise LengthRequired("Content-Length is needed.")
    if len(text) > 12 or int(text) > SEGMENT_MAX_BYTES:
        raise PayloadTooLarge("A body has at most 16 MiB.")
    if int(text) == 0:
        raise LengthMismatch("A body has at least one byte.")
    return int(text)


async def read_chunks(request: Request, *, stall_seconds: float) -> tuple[list[bytes], list[bytes]]:
    """The chunks and their BLAKE3-256 digests. Raises RequestTimeout when nothing arrives for so long."""
    chunks: list[bytes] = []
    digests: list[bytes] = []
    async for chunk in cut(arriving(request, stall_seconds), itertools.repeat(CHUNK_BYTES)):
        chunks.append(chunk)
        digests.append(chunk_digest(chunk))  # 0.1 to 0.5 ms: the way to a thread and back takes as long
    return chunks, digests


async def arriving(request: Request, stall_seconds: float) -> AsyncIterator[bytes]:
    """The body as it comes. Raises RequestTimeout."""
    parts = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(stall_seconds):
                part = await anext(parts, b"")
        except (TimeoutError, ClientDisconnect):
            raise RequestTimeout("The body stopped arriving.") from None
        if not part:
            return
        yield part


async def cut(parts: AsyncIterator[bytes], lengths: Iterator[int]) -> AsyncIterator[bytes]:
    """Join the parts into pieces of these lengths; the last one may be shorter."""
    pending: list[bytes | memoryview] = []
    size, wanted = 0, next(lengths, math.inf)
    async for arrived in parts:
        part = memoryview(arrived)
        while size + len(part) >= wanted:
            taken = int(wanted) - size
            yield b"".join((*pending, part[:taken]))
            part, pending, size, wanted = part[taken:], [], 0, next(lengths, math.inf)
        if part:
            pending.append(part if len(part) < len(arrived) else arrived)  # `bytes` alone are joined without a copy
            size += len(part)
    if pending:
        yield b"".join(pending)

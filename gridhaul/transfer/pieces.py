"""Pieces of wanted lengths, made of parts that arrive with other lengths. Each byte is copied once."""

import math
from collections.abc import AsyncIterator, Iterator

from gridhaul.transfer.joined_parts import JoinedParts


async def cut(parts: AsyncIterator[bytes], lengths: Iterator[int]) -> AsyncIterator[bytes]:
    """Join the parts and yield them as pieces of these lengths in bytes; the last piece may be shorter."""
    pieces = Pieces(lengths)
    async for part in parts:
        for piece in pieces.add(part):
            yield piece
    if rest := pieces.rest():
        yield rest


class Pieces:
    """Bytes that arrive in parts, as pieces of these lengths in bytes."""

    def __init__(self, lengths: Iterator[int]) -> None:
        self._lengths = lengths
        self._wanted: float = next(lengths, math.inf)
        self._pending = JoinedParts()  # of the piece that is not whole yet

    @property
    def pending_bytes(self) -> int:
        return len(self._pending)

    def add(self, arrived: bytes) -> Iterator[bytes]:
        """Yield the pieces that are whole with this part."""
        part = memoryview(arrived)
        while self.pending_bytes + len(part) >= self._wanted:
            taken = int(self._wanted) - self.pending_bytes
            piece = b"".join((*self._pending.parts, part[:taken]))
            part, self._pending = part[taken:], JoinedParts()
            self._wanted = next(self._lengths, math.inf)
            yield piece
        if part:
            self._pending += arrived if len(part) == len(arrived) else part

    def rest(self) -> bytes:
        """Return the bytes of the piece that is not whole, and forget them."""
        rest, self._pending = bytes(self._pending), JoinedParts()
        return rest

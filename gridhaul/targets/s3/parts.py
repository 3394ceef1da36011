"""The parts of an object, cut from the blocks of a delivery, with the digests that are sent with them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

from gridhaul.targets.s3.signing import UNSIGNED
from gridhaul.transfer.digest import body_hash
from gridhaul.transfer.errors import TargetInconsistent
from gridhaul.transfer.ports.targets import RepeatableBlocks


class PartBlocks(Protocol):
    """The bytes of a part. They can be iterated over more than once, because the part may have to be sent again."""

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over all blocks."""

    def begin(self) -> None:
        """Wait until the first block of the next iteration can be yielded. Raises what iterating would raise."""

    def stop(self) -> None:
        """Make a thread that waits for the next block fail. Any thread may call this."""

    def release(self) -> None:
        """Forget the bytes, once the part is not sent any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part to send."""

    number: int  # 1 for the first
    length: int
    blocks: PartBlocks
    md5: bytes
    sha256: bytes | None = None  # None: it is not sent with the part
    payload: str = UNSIGNED  # what the signature says of the body


def digest_of(algorithm: str, data: bytes) -> bytes:
    total = body_hash(algorithm)
    total.update(data)
    return total.digest()


def small_part(content: bytes, *, sha256: bool) -> Part:
    """Return the only part of an object that is in memory."""
    digests = _Digests(sha256=sha256)
    digests.update(content)
    return digests.part(1, len(content), _InMemory([content] if content else []))


class Cutter:
    """Cuts the blocks into parts. Only one thread at a time may take blocks."""

    def __init__(self, blocks: RepeatableBlocks) -> None:
        self._blocks = blocks
        self._following = iter(blocks)
        self._rest = b""
        self._taken_bytes = 0
        self._in_memory: list[bytes] = []  # of the last part that was cut for memory

    def in_memory(self, number: int, length: int, *, is_last: bool, sha256: bool) -> Part:
        """Take the part's bytes, and compute its digests. Raises what the blocks raise."""
        digests, taken = _Digests(sha256=sha256), list[bytes]()
        self._in_memory = taken
        for block in self._pieces(length, is_last=is_last):
            digests.update(block)
            taken.append(block)
        return digests.part(number, length, _InMemory(taken))

    def hashed_now_sent_later(self, number: int, length: int, *, is_last: bool, sha256: bool) -> Part:
        """Compute the digests of a part that is too large for memory. Its bytes are read again when it is sent."""
        digests, start = _Digests(sha256=sha256), self._taken_bytes
        for block in self._pieces(length, is_last=is_last):
            digests.update(block)
        return digests.part(
            number, length, _ReadWhenSent(self._blocks, start=start, length=length, md5=digests.md5.digest())
        )

    def forget(self) -> None:
        """Forget the bytes of the last part, which may not be whole, once no thread takes blocks any more."""
        self._in_memory.clear()
        self._rest = b""

    def _pieces(self, length: int, *, is_last: bool) -> Iterator[bytes]:
        """Yield the part's bytes. After the last part's, meet the end of the blocks, which may be an exception."""
        missing = length
        while missing:
            block = self._rest or next(self._following, None)
            if block is None:
                raise TargetInconsistent(f"The object's bytes ended {missing} bytes before the end of a part.")
            piece, self._rest = block[:missing], block[missing:]
            missing -= len(piece)
            yield piece
        self._taken_bytes += length
        if is_last and (self._rest or next(self._following, None) is not None):
            raise TargetInconsistent("There were more bytes to write than the object has.")


class _Digests:
    """The digests of one part."""

    def __init__(self, *, sha256: bool) -> None:
        self.md5 = body_hash("md5")
        self._sha256 = body_hash("sha256") if sha256 else None

    def update(self, block: bytes) -> None:
        self.md5.update(block)
        if self._sha256 is not None:
            self._sha256.update(block)

    def part(self, number: int, length: int, blocks: PartBlocks) -> Part:
        part = Part(number=number, length=length, blocks=blocks, md5=self.md5.digest())
        if self._sha256 is None:
            return part
        return replace(part, sha256=self._sha256.digest(), payload=self._sha256.hexdigest())


class _InMemory:
    """`PartBlocks` that are in memory."""

    def __init__(self, blocks: list[bytes]) -> None:
        self._blocks = blocks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)

    def begin(self) -> None:
        """Do nothing: all blocks are there."""

    def stop(self) -> None:
        """Do nothing: no thread waits for one of these blocks."""

    def release(self) -> None:
        self._blocks.clear()


class _ReadWhenSent:
    """`PartBlocks` that are read anew for each iteration."""

    def __init__(self, blocks: RepeatableBlocks, *, start: int, length: int, md5: bytes) -> None:
        self._blocks = blocks
        self._start = start
        self._length = length
        self._md5 = md5
        self._begun: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        begun, self._begun = self._begun, None
        return self._read() if begun is None else begun

    def begin(self) -> None:
        blocks = self._read()
        self._begun = chain((next(blocks),), blocks)

    def stop(self) -> None:
        self._blocks.stop()

    def release(self) -> None:
        self._begun = None

    def _read(self) -> Iterator[bytes]:
        """Yield the bytes. Raises TargetInconsistent, before the last block, if they are not those of the digest."""
        total, read_bytes, held_back = body_hash("md5"), 0, b""
        for block in self._blocks.again(self._start, self._length):
            total.update(block)
            read_bytes += len(block)
            if read_bytes > self._length:
                raise _changed()
            if held_back:
                yield held_back
            held_back = block
        if total.digest() != self._md5:
            raise _changed()
        yield held_back


def _changed() -> TargetInconsistent:
    return TargetInconsistent("The bytes of a part were others when they were read again; the part is not sent.")

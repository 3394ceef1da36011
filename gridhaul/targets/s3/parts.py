"""The parts of an object, cut from the blocks of a delivery, with the digests that are sent with them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from gridhaul.targets.s3.signing import UNSIGNED
from gridhaul.transfer.digest import body_hash
from gridhaul.transfer.errors import TargetInconsistent
from gridhaul.transfer.ports.targets import RepeatableBlocks


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part to send. Its blocks can be iterated over more than once, because it may have to be sent again."""

    number: int  # 1 for the first
    length: int
    blocks: Iterable[bytes]
    md5: bytes
    sha256: bytes | None = None  # None: it is not sent with the part
    payload: str = UNSIGNED  # what the signature says of the body
    stop: Callable[[], None] = lambda: None  # makes a thread that waits for the next block fail


def digest_of(algorithm: str, data: bytes) -> bytes:
    total = body_hash(algorithm)
    total.update(data)
    return total.digest()


def small_part(content: bytes, *, sha256: bool) -> Part:
    """Return the only part of an object that is in memory."""
    digests = _Digests(sha256=sha256)
    digests.update(content)
    return digests.part(1, len(content), [content] if content else [])


class Cutter:
    """Cuts the blocks into parts. Only one thread at a time may take blocks."""

    def __init__(self, blocks: RepeatableBlocks) -> None:
        self._blocks = blocks
        self._following = iter(blocks)
        self._rest = b""
        self._taken_bytes = 0

    def in_memory(self, number: int, length: int, *, is_last: bool, sha256: bool) -> Part:
        """Take the part's bytes, and compute its digests. Raises what the blocks raise."""
        digests, taken = _Digests(sha256=sha256), []
        for block in self._pieces(length, is_last=is_last):
            digests.update(block)
            taken.append(block)
        return digests.part(number, length, taken)

    def read_again(self, number: int, length: int, *, is_last: bool, sha256: bool) -> Part:
        """Compute the digests of a part that is too large for memory. Its bytes are read again when it is sent."""
        digests, start = _Digests(sha256=sha256), self._taken_bytes
        for block in self._pieces(length, is_last=is_last):
            digests.update(block)
        again = _ReadAgain(self._blocks, start=start, length=length, md5=digests.md5.digest())
        return digests.part(number, length, again, stop=self._blocks.stop)

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

    def part(
        self, number: int, length: int, blocks: Iterable[bytes], *, stop: Callable[[], None] = lambda: None
    ) -> Part:
        part = Part(number=number, length=length, blocks=blocks, md5=self.md5.digest(), stop=stop)
        if self._sha256 is None:
            return part
        return replace(part, sha256=self._sha256.digest(), payload=self._sha256.hexdigest())


class _ReadAgain:
    """The bytes of a part, which are read whenever the part is sent."""

    def __init__(self, blocks: RepeatableBlocks, *, start: int, length: int, md5: bytes) -> None:
        self._blocks = blocks
        self._start = start
        self._length = length
        self._md5 = md5

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes. Raises TargetInconsistent, before the last block, if they are not those of the digest."""
        total, held_back = body_hash("md5"), b""
        for block in self._blocks.again(self._start, self._length):
            total.update(block)
            if held_back:
                yield held_back
            held_back = block
        if total.digest() != self._md5:
            raise TargetInconsistent("The bytes of a part were others when they were read again; the part is not sent.")
        yield held_back

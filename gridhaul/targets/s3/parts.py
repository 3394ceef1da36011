"""The parts of an object, cut from the blocks of a delivery, with the digests that are sent with them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from gridhaul.targets.s3.signing import UNSIGNED
from gridhaul.transfer.digest import BodyHash, body_hash
from gridhaul.transfer.errors import TargetInconsistent
from gridhaul.transfer.ports.targets import Blocks


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part to send. Its digests are those of all its bytes; None: they are not sent with it."""

    number: int  # 1 for the first
    length: int
    blocks: Iterable[bytes]
    sent_md5: BodyHash  # of the bytes that have left, which is known at the latest when all of them have left
    md5: bytes | None = None
    sha256: bytes | None = None
    payload: str = UNSIGNED  # what the signature says of the body
    stop: Callable[[], None] = lambda: None  # makes a thread that waits for the next block fail


def digest_of(algorithm: str, data: bytes) -> bytes:
    total = body_hash(algorithm)
    total.update(data)
    return total.digest()


def small_part(content: bytes, *, sha256: bool) -> Part:
    """Return the only part of an object that is in memory."""
    return Cutter(_Whole(content)).buffered(1, len(content), is_last=True, sha256=sha256)


class _Whole:
    """`Blocks` with one block, or with none for an empty object."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return iter([self._content] if self._content else [])

    def stop(self) -> None:
        """Do nothing: no thread ever waits for the block."""


class Cutter:
    """Cuts the blocks into parts. Only one thread at a time may take blocks."""

    def __init__(self, blocks: Blocks) -> None:
        self._stop = blocks.stop
        self._blocks = iter(blocks)
        self._rest = b""

    def buffered(self, number: int, length: int, *, is_last: bool, sha256: bool) -> Part:
        """Take the part's bytes, and compute its digests. Raises what the blocks raise."""
        md5, sha = body_hash("md5"), body_hash("sha256") if sha256 else None
        taken = []
        for block in self._pieces(length, is_last=is_last):
            md5.update(block)
            if sha is not None:
                sha.update(block)
            taken.append(block)
        part = Part(number=number, length=length, blocks=taken, sent_md5=md5, md5=md5.digest())
        return part if sha is None else replace(part, sha256=sha.digest(), payload=sha.hexdigest())

    def streamed(self, number: int, length: int, *, is_last: bool) -> Part:
        """Return a part whose bytes are taken while it is sent."""
        md5 = body_hash("md5")
        blocks = self._hashed(self._pieces(length, is_last=is_last), md5)
        return Part(number=number, length=length, blocks=blocks, sent_md5=md5, stop=self._stop)

    def _hashed(self, pieces: Iterator[bytes], md5: BodyHash) -> Iterator[bytes]:
        for piece in pieces:
            md5.update(piece)
            yield piece

    def _pieces(self, length: int, *, is_last: bool) -> Iterator[bytes]:
        """Yield the part's bytes. After the last part's, meet the end of the blocks, which may be an exception."""
        missing = length
        while missing:
            block = self._rest or next(self._blocks, None)
            if block is None:
                raise TargetInconsistent(f"The object's bytes ended {missing} bytes before the end of a part.")
            piece, self._rest = block[:missing], block[missing:]
            missing -= len(piece)
            yield piece
        if is_last and (self._rest or next(self._blocks, None) is not None):
            raise TargetInconsistent("There were more bytes to write than the object has.")

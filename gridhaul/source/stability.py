"""Decides whether a source stayed the same while it was read, and how a file starts over.

A write changes the size or the mtime, and whoever puts the mtime back changes the ctime. Links, modes and unlinking
change the ctime, too, but no byte: if only the ctime has changed, the source is read once more, and the bytes decide.
"""

from collections.abc import Callable
from contextlib import aclosing

from gridhaul.source.opened import Source
from gridhaul.transfer.errors import SourceChanged
from gridhaul.transfer.model import Seal
from gridhaul.transfer.origins import SourceIdentity

READ_AGAIN_AT_MOST = 2


async def require_still(
    source: Source, opened: SourceIdentity, seal: Seal, *, chunks_each: int, checked: Callable[[int], None]
) -> None:
    """Raise SourceChanged unless the source still is what was read since `opened`. `seal` describes what was read.

    If only the ctime has changed since, the source is read once more, and a second time if the ctime changes during
    that reading. Then three equal readings count as proof, because a file that is linked all the time could otherwise
    never be stored. `checked` is called with the number of bytes that a further reading has read.
    """
    before = opened
    for _ in range(READ_AGAIN_AT_MOST):
        source.require(opened)
        now = await source.settled_identity()
        if now.ctime_ns == before.ctime_ns:
            break
        await _require_same_bytes(source, opened, seal, chunks_each=chunks_each, checked=checked)
        before = now
    source.require(opened)


async def _require_same_bytes(
    source: Source, opened: SourceIdentity, seal: Seal, *, chunks_each: int, checked: Callable[[int], None]
) -> None:
    reader = source.read(opened)
    done = 0
    async with aclosing(reader.segments(chunks_each)) as segments:
        async for segment in segments:
            done += segment.length
            checked(done)
    if reader.seal() != seal:
        raise SourceChanged("The source was written to while it was read; retry stores it as it is now.")


def registered_anew(identity: SourceIdentity) -> dict[str, object]:
    """Return the fields of a file that starts over from a changed source. The next claim drops the file's content."""
    return {
        "identity": identity,
        "length": identity.size,
        "content_outdated": True,
        "stored_bytes": 0,
        "checked_bytes": 0,
    }

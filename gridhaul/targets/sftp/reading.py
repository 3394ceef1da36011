"""Reading an object back: several requests are under way at once, and a thread hashes what has arrived."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

import asyncssh

from gridhaul.process import threads
from gridhaul.targets.sftp.errors import mapped_errors
from gridhaul.targets.sftp.session import Session, discard
from gridhaul.transfer.digest import ContentDigest
from gridhaul.transfer.model import Evidence, RemoteObject
from gridhaul.transfer.ports.targets import Checked

IN_FLIGHT_BYTES = 4 << 20
HASHED_AT_ONCE_BYTES = 4 << 20


async def read_object(
    session: Session, file: asyncssh.SFTPClientFile, *, block_bytes: int, length: int, checked: Checked
) -> RemoteObject:
    """Read the file as `transfer.ports.targets.Target.read_back` says. At most one byte beyond `length` is read."""
    total, pieces, arrived = ContentDigest(), list[bytes](), 0  # `pieces` are those that are not hashed yet
    async with aclosing(_pieces(session, file, block_bytes=block_bytes, most_bytes=length + 1)) as found:
        async for piece in found:
            pieces.append(piece)
            arrived += len(piece)
            if arrived - total.length_bytes >= HASHED_AT_ONCE_BYTES:
                await _hash(total, pieces)
                checked(arrived)
    await _hash(total, pieces)
    checked(arrived)
    sha256 = total.hexdigest() if arrived <= length else ""
    return RemoteObject(length=arrived, sha256=sha256, evidence=Evidence.READ_BACK)


async def _hash(total: ContentDigest, pieces: list[bytes]) -> None:
    """Hash the pieces in a thread, while more arrive, and forget them."""

    def update() -> None:
        for piece in pieces:
            total.update(piece)

    await threads.in_thread(update)
    pieces.clear()


async def _pieces(
    session: Session, file: asyncssh.SFTPClientFile, *, block_bytes: int, most_bytes: int
) -> AsyncGenerator[bytes]:
    """Yield what the file holds, in order, up to `most_bytes`."""
    pending: deque[tuple[asyncio.Task[bytes], int]] = deque()
    asked = 0
    try:
        while True:
            while asked < most_bytes and len(pending) * block_bytes < IN_FLIGHT_BYTES:
                size = min(block_bytes, most_bytes - asked)
                pending.append((asyncio.create_task(_read(session, file, asked, size)), size))
                asked += size
            if not pending:
                return
            task, size = pending.popleft()
            with mapped_errors():
                piece = await task
            yield piece
            if len(piece) < size:  # the end of the file
                return
    finally:
        for task, _ in pending:
            discard(task)


async def _read(session: Session, file: asyncssh.SFTPClientFile, start: int, size: int) -> bytes:
    """Return the bytes of the file from `start` on: `size` bytes, or fewer at the file's end."""
    piece = b""
    while len(piece) < size:
        more: bytes = await session.ask(file.read(size - len(piece), start + len(piece)))
        if not more:
            break
        piece += more
    return piece

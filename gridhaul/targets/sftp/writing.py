"""Writing to positions of an object: several requests are under way at once, and their answers say what is safe."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import asyncssh

from gridhaul.process import threads
from gridhaul.targets.sftp.errors import mapped_errors
from gridhaul.targets.sftp.session import Session, discard
from gridhaul.transfer.errors import TargetInconsistent
from gridhaul.transfer.model import Stage
from gridhaul.transfer.ports.targets import Blocks, Confirmed, Leaving

IN_FLIGHT_BYTES = 4 << 20
BLOCK_MOST_BYTES = 1 << 20  # of `Blocks`
CONFIRMED_BYTES = 16 << 20
UNCONFIRMED_MOST_BYTES = 32 << 20  # so many bytes may have left since the last position that was confirmed


class Writing:
    """The writing of one stage to its open file, from `stage.offset` on.

    The server answers to each request once the bytes are in the file, and need not answer in order. So what is safe
    ends at the first position without an answer. If the server can flush, a stage is confirmed as far as it was safe
    when a flush began that has succeeded: otherwise a crash of the server could take bytes back. A block leaves
    only if at most UNCONFIRMED_MOST_BYTES are then unconfirmed. So a later attempt sends at most these bytes again, and
    up to 1 MiB before them, because it begins where a chunk begins.
    """

    def __init__(
        self, session: Session, file: asyncssh.SFTPClientFile, stage: Stage, *, block_bytes: int, syncs: bool
    ) -> None:
        self._session = session
        self._file = file
        self._stage = stage
        self._block_bytes = block_bytes
        self._syncs = syncs
        self._position = stage.offset  # of the next byte to send
        self._pending: deque[tuple[int, asyncio.Task[int]]] = deque()  # requests by the positions that they write to
        self._confirmed = self._asked = stage.offset  # what is confirmed, and what the flush under way will confirm
        self._flushing: asyncio.Task[None] | None = None

    async def write(self, blocks: Blocks, *, leaving: Leaving, confirmed: Confirmed) -> None:
        """Send all blocks, and return when the server has answered to all requests."""
        take = partial(_taken, iter(blocks), leaving)
        try:
            await self._make_room(confirmed)
            while (block := await threads.in_thread(take, when_cancelled=blocks.stop)) is not None:
                self._send(block)
                await self._make_room(confirmed)
            await self._answered(at_most_bytes=0)
        except asyncio.CancelledError:
            blocks.stop()
            raise
        finally:
            self._stop()
        if self._position != self._stage.length:
            raise TargetInconsistent(
                f"The object was to have {self._stage.length} bytes, but {self._position} were written."
            )

    @property
    def _safe(self) -> int:
        return self._pending[0][0] if self._pending else self._position

    @property
    def _has_room(self) -> bool:
        """Whether the next block keeps to the limit of unconfirmed bytes. If it does not, a flush is under way."""
        return self._position + BLOCK_MOST_BYTES - self._confirmed <= UNCONFIRMED_MOST_BYTES

    def _send(self, block: bytes) -> None:
        for start in range(0, len(block), self._block_bytes):
            piece = block[start : start + self._block_bytes]
            self._pending.append((self._position, asyncio.create_task(self._file.write(piece, self._position))))
            self._position += len(piece)

    async def _make_room(self, confirmed: Confirmed) -> None:
        """Wait until one more block keeps to both limits: of bytes without an answer, and of unconfirmed bytes.

        This has to come before the next block is taken: the thread that takes a block reports at once that it leaves.
        """
        await self._answered(at_most_bytes=IN_FLIGHT_BYTES - BLOCK_MOST_BYTES)
        await self._confirm(confirmed)
        while self._flushing is not None and not self._has_room:
            await asyncio.wait([self._flushing])
            await self._confirm(confirmed)

    async def _answered(self, *, at_most_bytes: int) -> None:
        """Wait until at most so many bytes have no answer. Raises TargetUnavailable if no answer comes for long."""
        while self._pending and (self._position - self._safe > at_most_bytes or self._pending[0][1].done()):
            with mapped_errors():
                await self._session.ask(self._pending[0][1])
            self._pending.popleft()

    async def _confirm(self, confirmed: Confirmed) -> None:
        """Confirm what a flush that has ended made safe, and begin the next flush if it is due."""
        if self._flushing is not None and self._flushing.done():
            flushing, self._flushing = self._flushing, None
            await flushing
            self._confirmed = self._asked
            await confirmed(replace(self._stage, offset=self._confirmed))
        if self._flushing is None and self._safe - self._confirmed >= CONFIRMED_BYTES:
            self._asked = self._safe
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        if self._syncs:
            with mapped_errors():
                await self._session.ask(self._file.fsync(), busy_seconds=self._session.answer_seconds)

    def _stop(self) -> None:
        for _, request in self._pending:
            discard(request)
        if self._flushing is not None:
            discard(self._flushing)


def _taken(blocks: Iterator[bytes], leaving: Leaving) -> bytes | None:
    """Take the next block, and tell that it leaves; None if there is none. Runs in a thread."""
    block = next(blocks, None)
    if block is not None:
        leaving(len(block))
    return block

"""Writes the parts of one multipart upload: several at once, confirmed in their order."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any

from gridhaul.process.threads import in_thread
from gridhaul.targets.s3.documents import PartTag
from gridhaul.targets.s3.part_sizes import is_buffered, part_count, part_length, parts_at_once
from gridhaul.targets.s3.parts import Cutter, Part
from gridhaul.transfer.model import Stage
from gridhaul.transfer.ports.targets import Blocks, Confirmed, Leaving

Send = Callable[[Part, Leaving], Coroutine[Any, Any, PartTag]]


class PartWriter:
    """One writing of the parts that a stage does not have yet."""

    def __init__(
        self, stage: Stage, part_bytes: int, blocks: Blocks, *, sha256: bool, leaving: Leaving, send: Send
    ) -> None:
        self._stage = stage
        self._part_bytes = part_bytes
        self._blocks = blocks
        self._cutter = Cutter(blocks)
        self._sha256 = sha256
        self._leaving = _OneAtATime(leaving)
        self._send = send
        self._sending: deque[asyncio.Task[PartTag]] = deque()
        self._taking: asyncio.Task[Part] | None = None

    async def write(self, confirmed: Confirmed) -> Stage:
        """Send the missing parts, and return the whole stage.

        Once this method has returned or raised an exception, no part is under way any more.
        """
        try:
            await self._write(confirmed)
        except BaseException as error:
            await self._stop()
            if isinstance(error, Exception) and self._leaving.failure is not None:
                raise self._leaving.failure from None  # it may have come after the error of another part
            raise
        return self._stage

    async def _write(self, confirmed: Confirmed) -> None:
        count = part_count(self._stage.length, self._part_bytes)
        for number in range(len(self._stage.parts) + 1, count + 1):
            if len(self._sending) == parts_at_once(self._part_bytes):
                await self._confirm_first(confirmed)
            self._taking = asyncio.create_task(self._take(number, is_last=number == count))
            await self._confirm_until_taken(self._taking, confirmed)
            self._sending.append(asyncio.create_task(self._send(self._taking.result(), self._leaving)))
        while self._sending:
            await self._confirm_first(confirmed)

    async def _confirm_until_taken(self, taking: asyncio.Task[Part], confirmed: Confirmed) -> None:
        """Wait for the next part. The source may be slow, so parts are confirmed meanwhile."""
        while not taking.done():
            await asyncio.wait([taking, *islice(self._sending, 1)], return_when=asyncio.FIRST_COMPLETED)
            while self._sending and self._sending[0].done():
                await self._confirm_first(confirmed)

    async def _take(self, number: int, *, is_last: bool) -> Part:
        length = part_length(number, length=self._stage.length, part_bytes=self._part_bytes)
        if not is_buffered(self._part_bytes):
            return self._cutter.streamed(number, length, is_last=is_last)
        take = partial(self._cutter.buffered, number, length, is_last=is_last, sha256=self._sha256)
        return await in_thread(take, when_cancelled=self._blocks.stop)

    async def _confirm_first(self, confirmed: Confirmed) -> None:
        """Wait for the first part that is not confirmed yet, and confirm it."""
        tag = await self._sending[0]
        self._sending.popleft()
        parts = (*self._stage.parts, str(tag))
        offset = min(self._stage.length, len(parts) * self._part_bytes)
        self._stage = replace(self._stage, offset=offset, parts=parts)
        await confirmed(self._stage)

    async def _stop(self) -> None:
        self._blocks.stop()
        tasks = [*self._sending, *([] if self._taking is None else [self._taking])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _OneAtATime:
    """`Leaving` for several threads. Once it has raised an exception, it raises it for all of them."""

    def __init__(self, leaving: Leaving) -> None:
        self._leaving = leaving
        self._lock = Lock()
        self.failure: Exception | None = None

    def __call__(self, count: int) -> None:
        with self._lock:
            if self.failure is not None:
                raise self.failure
            try:
                self._leaving(count)
            except Exception as error:
                self.failure = error
                raise

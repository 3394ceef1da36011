"""Writes the parts of one multipart upload: several at once, confirmed in their order."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from gridhaul.process.threads import in_thread
from gridhaul.targets.s3.documents import PartTag
from gridhaul.targets.s3.in_flight import InFlight, repeats
from gridhaul.targets.s3.leaving import OncePerByte, OneAtATime
from gridhaul.targets.s3.part_sizes import is_buffered, part_count, part_length, parts_at_once
from gridhaul.targets.s3.parts import Cutter, Part
from gridhaul.transfer.model import Stage
from gridhaul.transfer.ports.targets import Confirmed, Leaving, RepeatableBlocks

Send = Callable[[Part, Leaving], Coroutine[Any, Any, PartTag]]


class PartWriter:
    """One writing of the parts that a stage does not have yet."""

    def __init__(
        self, stage: Stage, part_bytes: int, blocks: RepeatableBlocks, *, sha256: bool, leaving: Leaving, send: Send
    ) -> None:
        self._stage = stage
        self._part_bytes = part_bytes
        self._blocks = blocks
        self._cutter = Cutter(blocks)
        self._sha256 = sha256
        self._leaving = OneAtATime(leaving)
        self._send = send
        self._at_once = parts_at_once(part_bytes)
        self._in_flight = InFlight(self._at_once)
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
        """Send part after part. A part that is not kept in memory is hashed while the one before it is sent."""
        count = part_count(self._stage.length, self._part_bytes)
        for number in range(len(self._stage.parts) + 1, count + 1):
            if is_buffered(self._part_bytes):
                await self._make_room(confirmed)
            self._taking = asyncio.create_task(self._take(number, is_last=number == count))
            await self._confirm_until_taken(self._taking, confirmed)
            await self._make_room(confirmed)
            self._sending.append(asyncio.create_task(self._send_until_confirmed(self._taking.result())))
        while self._sending:
            await self._confirm_first(confirmed)

    async def _make_room(self, confirmed: Confirmed) -> None:
        """Wait until another part may be sent."""
        if len(self._sending) == self._at_once:
            await self._confirm_first(confirmed)

    async def _confirm_until_taken(self, taking: asyncio.Task[Part], confirmed: Confirmed) -> None:
        """Wait for the next part. The source may be slow, so parts are confirmed meanwhile."""
        while not taking.done():
            await asyncio.wait([taking, *islice(self._sending, 1)], return_when=asyncio.FIRST_COMPLETED)
            while self._sending and self._sending[0].done():
                await self._confirm_first(confirmed)

    async def _take(self, number: int, *, is_last: bool) -> Part:
        length = part_length(number, length=self._stage.length, part_bytes=self._part_bytes)
        cut = self._cutter.in_memory if is_buffered(self._part_bytes) else self._cutter.read_again
        take = partial(cut, number, length, is_last=is_last, sha256=self._sha256)
        return await in_thread(take, when_cancelled=self._blocks.stop)

    async def _send_until_confirmed(self, part: Part) -> PartTag:
        """Send the part, and again while a repeat may help."""
        leaving = OncePerByte(self._leaving)
        async for attempt in repeats():
            with attempt:
                leaving.begin_again()
                async with self._in_flight.slot():
                    return await self._send(part, leaving)
        raise AssertionError("unreachable: the loop returns or raises")

    async def _confirm_first(self, confirmed: Confirmed) -> None:
        """Wait for the first part that is not confirmed yet, and confirm it."""
        tag = await self._sending[0]
        self._sending.popleft()
        self._in_flight.confirmed()
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

"""Writes the parts of one multipart upload: several at once, confirmed in their order."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

from gridhaul.process.threads import in_thread
from gridhaul.targets.s3.documents import PartTag
from gridhaul.targets.s3.in_flight import InFlight, repeats
from gridhaul.targets.s3.leaving import OncePerByte, OneAtATime
from gridhaul.targets.s3.part_sizes import is_buffered, part_count, part_length, parts_at_once
from gridhaul.targets.s3.parts import Cutter, Part
from gridhaul.targets.s3.stages import mark_of
from gridhaul.transfer.model import Stage
from gridhaul.transfer.naming import delivery_of_temporary
from gridhaul.transfer.ports.targets import Confirmed, Leaving, RepeatableBlocks

Send = Callable[[Part, Leaving], Coroutine[Any, Any, PartTag]]


class PartWriter:
    """One writing of the parts that a stage does not have yet."""

    def __init__(
        self, stage: Stage, part_bytes: int, blocks: RepeatableBlocks, *, sha256: bool, leaving: Leaving, send: Send
    ) -> None:
        self._stage = stage
        self._delivery_id = delivery_of_temporary(mark_of(stage))
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
            failure = self._leaving.take_failure()
            try:
                if isinstance(error, Exception) and failure is not None:
                    raise failure from None  # it may have come after the error of another part
                raise
            finally:
                del failure  # it holds this frame
        return self._stage

    async def _write(self, confirmed: Confirmed) -> None:
        """Send part after part. A part that is not kept in memory is hashed while the one before it is sent."""
        count = part_count(self._stage.length, self._part_bytes)
        for number in range(len(self._stage.parts) + 1, count + 1):
            if is_buffered(self._part_bytes):
                await self._confirm_until(self._has_room, confirmed)
            self._taking = asyncio.create_task(self._take(number, is_last=number == count))
            await self._confirm_until(self._taking.done, confirmed)
            self._taking.result()  # its error does not wait until there is room
            await self._confirm_until(self._has_room, confirmed)
            self._sending.append(asyncio.create_task(self._send_until_confirmed(self._taking.result())))
        await self._confirm_until(lambda: not self._sending, confirmed)

    def _has_room(self) -> bool:
        """Return whether another part may be sent."""
        return len(self._sending) < self._at_once

    async def _confirm_until(self, is_enough: Callable[[], bool], confirmed: Confirmed) -> None:
        """Confirm parts in their order until it is enough. Raises the error of any part as soon as it has failed."""
        while True:
            while self._sending and self._sending[0].done():
                await self._confirm_first(confirmed)
            for sent in self._sending:
                if sent.done():
                    sent.result()
            if is_enough():
                return
            await asyncio.wait(self._under_way(), return_when=asyncio.FIRST_COMPLETED)

    def _under_way(self) -> list[asyncio.Task[Any]]:
        tasks = [*self._sending, *([] if self._taking is None else [self._taking])]
        return [task for task in tasks if not task.done()]

    async def _take(self, number: int, *, is_last: bool) -> Part:
        length = part_length(number, length=self._stage.length, part_bytes=self._part_bytes)
        cut = self._cutter.in_memory if is_buffered(self._part_bytes) else self._cutter.hashed_now_sent_later
        take = partial(cut, number, length, is_last=is_last, sha256=self._sha256)
        return await in_thread(take, when_cancelled=self._blocks.stop)

    async def _send_until_confirmed(self, part: Part) -> PartTag:
        """Send the part, and again while a repeat may help."""
        leaving = OncePerByte(self._leaving)
        try:
            async for attempt in repeats(record_id=self._delivery_id, part=part.number):
                with attempt:
                    leaving.begin_again()
                    async with self._in_flight.slot():
                        # The first reading checks the manifest, which may take longer than a server waits for a body.
                        await in_thread(part.blocks.begin, when_cancelled=part.blocks.stop)
                        return await self._send(part, leaving)
        finally:
            part.blocks.release()  # the exception of a failed part may stay in memory, and holds this frame
        raise AssertionError("unreachable: the loop returns or raises")

    async def _confirm_first(self, confirmed: Confirmed) -> None:
        """Confirm the first part that is not confirmed yet, which has been sent. Raises its error."""
        tag = self._sending.popleft().result()
        self._in_flight.confirmed()
        parts = (*self._stage.parts, str(tag))
        offset = min(self._stage.length, len(parts) * self._part_bytes)
        self._stage = replace(self._stage, offset=offset, parts=parts)
        await confirmed(self._stage)

    async def _stop(self) -> None:
        """Stop all parts, and forget their bytes: the exception of a failure and this object may hold each other."""
        self._blocks.stop()
        tasks = [*self._sending, *([] if self._taking is None else [self._taking])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sending.clear()
        self._taking = None
        self._cutter.forget()

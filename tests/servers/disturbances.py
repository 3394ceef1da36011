"""What a proxy can do to one exchange of HTTP. Byte counts are those of the body; 0 is before the head as well."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

HOLD_LOOK_SECONDS = 0.01


class Side(StrEnum):
    REQUEST = "request"
    ANSWER = "answer"


class Reset(Exception):
    """The connections of the exchange are to be reset now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disturbance:
    """Lets everything pass; each kind below does one thing otherwise. `happened` is called when it does it."""

    async def passes(self, side: Side, at: int, data: bytes) -> AsyncGenerator[bytes]:
        """What of `data`, which begins at byte `at` of the body, is passed on. Asked with b"" before the head."""
        yield data

    def strikes(self, side: Side, at: int, data: bytes) -> bool:
        """Whether it does what it is for within this part of the body."""
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer(Disturbance):
    """The proxy reads the request to its end and answers itself; upstream sees nothing of it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoseAnswer(Disturbance):
    """The request is carried out; the connection is reset instead of its answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut(Disturbance):
    """Both connections are reset when so many bytes have passed."""

    side: Side
    after_bytes: int

    def strikes(self, side: Side, at: int, data: bytes) -> bool:
        return side is self.side and at + len(data) >= self.after_bytes

    async def passes(self, side: Side, at: int, data: bytes) -> AsyncGenerator[bytes]:
        if not self.strikes(side, at, data):
            yield data
            return
        if data:
            yield data[: self.after_bytes - at]
        raise Reset


@dataclass(frozen=True, kw_only=True, slots=True)
class Flip(Disturbance):
    """One bit of the byte at that position arrives as the other one."""

    side: Side
    at_byte: int
    bit: int = 0

    def strikes(self, side: Side, at: int, data: bytes) -> bool:
        return side is self.side and at <= self.at_byte < at + len(data)

    async def passes(self, side: Side, at: int, data: bytes) -> AsyncGenerator[bytes]:
        if not self.strikes(side, at, data):
            yield data
            return
        flipped = bytearray(data)
        flipped[self.at_byte - at] ^= 1 << self.bit
        yield bytes(flipped)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Still(Disturbance):
    """After so many bytes nothing passes until `stand_still` is over; then it goes on."""

    side: Side
    after_bytes: int

    async def stand_still(self) -> None:
        raise NotImplementedError

    def strikes(self, side: Side, at: int, data: bytes) -> bool:
        until = at + len(data)
        return side is self.side and (at < self.after_bytes <= until or (not until and not self.after_bytes))

    async def passes(self, side: Side, at: int, data: bytes) -> AsyncGenerator[bytes]:
        if not self.strikes(side, at, data):
            yield data
            return
        cut = self.after_bytes - at
        if cut:
            yield data[:cut]
        await self.stand_still()
        yield data[cut:]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stall(_Still):
    """After so many bytes nothing passes for a time (`math.inf`: until the proxy ends); then it goes on."""

    seconds: float

    async def stand_still(self) -> None:
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold(_Still):
    """After so many bytes nothing passes until `release` is called, in any thread; then it goes on."""

    _released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self._released.set()

    async def stand_still(self) -> None:
        while not self._released.is_set():  # noqa: ASYNC110 - it is released in another thread
            await asyncio.sleep(HOLD_LOOK_SECONDS)


NOTHING = Disturbance()

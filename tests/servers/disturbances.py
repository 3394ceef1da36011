"""The disturbances that a proxy can do to one HTTP exchange. Bytes of the body are counted; 0 is before the head."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

HOLD_LOOK_SECONDS = 0.01


class Side(StrEnum):
    REQUEST = "request"
    ANSWER = "answer"


class Reset(Exception):
    """The connections of the exchange must be reset now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disturbance:
    """Lets everything pass; each subclass disturbs the exchange in one way."""

    async def passes(self, side: Side, at: int, data: bytes) -> AsyncGenerator[bytes]:
        """Yield the bytes to pass on for `data`, which begins at byte `at` of the body (b"" stands for the head)."""
        yield data

    def strikes(self, side: Side, at: int, data: bytes) -> bool:
        """Return whether the disturbance happens within this part of the body."""
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer(Disturbance):
    """The proxy reads the request to its end and answers it; upstream gets no request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request that has arrived whole at the proxy."""

    method: str
    target: str  # as in the request line
    headers: Mapping[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Instead(Disturbance):
    """The proxy answers what `answer` returns, which may send requests of its own upstream, in a thread."""

    answer: Callable[[Asked], Answer]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change(Disturbance):
    """Upstream carries out the request; the proxy reads the whole answer, and passes on what `change` makes of it.

    Names of headers are in lower case. The body is cut where a changed `content-length` ends it; if that is longer than
    the body, the connection is reset behind the body.
    """

    change: Callable[[Answer], Answer]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoseAnswer(Disturbance):
    """Upstream carries out the request; the proxy resets the connection instead of passing the answer on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut(Disturbance):
    """Both connections are reset when `after_bytes` bytes of the body have passed."""

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
    """One bit of the byte `at_byte` of the body arrives flipped."""

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
class _Still(Disturbance, ABC):
    """After `after_bytes` bytes nothing passes until `stand_still` returns; then the exchange goes on."""

    side: Side
    after_bytes: int

    @abstractmethod
    async def stand_still(self) -> None:
        """Wait for as long as nothing may pass."""

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
    """After `after_bytes` bytes nothing passes for `seconds` (`math.inf`: until the proxy ends)."""

    seconds: float

    async def stand_still(self) -> None:
        await asyncio.sleep(self.seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold(_Still):
    """After `after_bytes` bytes nothing passes until some thread calls `release`."""

    _released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        self._released.set()

    async def stand_still(self) -> None:
        while not self._released.is_set():  # noqa: ASYNC110 - another thread calls `release`
            await asyncio.sleep(HOLD_LOOK_SECONDS)


NOTHING = Disturbance()

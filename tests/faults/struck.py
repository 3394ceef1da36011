"""Something that a row does when a certain byte of a body passes a proxy, while that byte waits."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tests.servers.disturbances import Disturbance, Side

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Strike(Disturbance, Generic[T]):
    """When byte `at_byte` of the request's body has come, `act` runs in a thread; the byte passes afterwards."""

    at_byte: int
    act: Callable[[], T]
    _acted: "Future[T]" = field(default_factory=Future)

    def strikes(self, side: Side, at: int, data: bytes) -> bool:
        return side is Side.REQUEST and at <= self.at_byte < at + len(data) and not self._acted.done()

    async def passes(self, side: Side, at: int, data: bytes) -> AsyncGenerator[bytes]:
        if self.strikes(side, at, data):
            await asyncio.to_thread(self._run)
        yield data

    def result(self, seconds: float) -> T:
        """Wait until `act` has run, and return its result. Raises what it raised."""
        return self._acted.result(seconds)

    def _run(self) -> None:
        try:
            self._acted.set_result(self.act())
        except BaseException as error:
            self._acted.set_exception(error)

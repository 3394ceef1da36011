"""The limit of streams of events at once. A stream beyond the limit waits for a moment, and is refused then."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gridhaul.process.fair_slots import FairSlots
from gridhaul.transfer.errors import StreamsBusy

STREAMS = 2000  # of one process; a stream takes about 50 KiB of memory, and one of its connections
TURN_SECONDS = 2.0  # a client that comes back may be here before the end of its last stream was noticed
TRY_AGAIN_SECONDS = 30


class StreamSlots:
    """The slots of one process. One account holds at most three quarters, so the rest is free for other accounts."""

    def __init__(self, *, slots: int = STREAMS, turn_seconds: float = TURN_SECONDS) -> None:
        self._slots = FairSlots(limit=slots, limit_each=slots * 3 // 4)
        self._turn_seconds = turn_seconds

    @asynccontextmanager
    async def hold(self, account: str) -> AsyncGenerator[None]:
        """Hold a slot inside the context. Raises StreamsBusy if none becomes free within `turn_seconds`."""
        busy = StreamsBusy(
            "The server, or your account, has as many streams of events as it may; close some, or try again in "
            f"{TRY_AGAIN_SECONDS} s.",
            retry_after_seconds=TRY_AGAIN_SECONDS,
        )
        async with self._slots.hold(account, turn_seconds=self._turn_seconds, busy=busy):
            yield

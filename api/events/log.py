"""The latest events of the process, and the listeners that they are for. What all of it holds is bounded.

A listener holds references to the events that it has not sent yet. The log keeps the texts of the latest events, and
drops older ones, whoever refers to them. A listener that is so slow that an event of its own was dropped ends, and its
client comes back and is told what it missed.
"""

import asyncio
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from api.events.texts import Told
from gridhaul.transfer.model import RecordId

LOG_BYTES = 32 << 20  # of texts
UNSENT_EVENTS = 4000  # of one listener
BLOCK_BYTES = 32 << 10
TOO_SLOW = "The client reads too slowly."


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """The records that a listener sees: a file with its deliveries, all of an account, or those of every account."""

    owner: str | None  # None: every account
    file_id: RecordId | None = None  # of the owner


class Listener:
    """The events that one stream has not sent yet."""

    def __init__(self) -> None:
        self._unsent = deque[Told]()
        self._news = asyncio.Event()
        self.ended: str | None = None  # why; None: the listener has not ended

    def offer(self, told: Told) -> None:
        if len(self._unsent) >= UNSENT_EVENTS:
            self.end(TOO_SLOW)
        else:
            self._unsent.append(told)
            self._news.set()

    def end(self, why: str) -> None:
        """Let the stream end. What was not sent is forgotten."""
        self.ended = self.ended or why
        self._unsent.clear()
        self._news.set()

    def take(self) -> bytes:
        """Return the texts of the next events, as many as make a block; empty: there are none."""
        texts, length = list[bytes](), 0
        while self._unsent and length < BLOCK_BYTES:
            text = self._unsent.popleft().text
            if text is None:
                self.end(TOO_SLOW)
                return b""
            texts.append(text)
            length += len(text)
        return b"".join(texts)

    async def wait(self, seconds: float) -> bool:
        """Return whether there is news: events to take, or the end. False: there was none in this time."""
        if not self._unsent and not self.ended:
            self._news.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        return True


class EventLog:
    """The events of one process. An instance belongs to one event loop."""

    def __init__(self, *, most_bytes: int = LOG_BYTES) -> None:
        self._latest = deque[Told]()
        self._bytes_left = most_bytes
        self._listeners: dict[Sight, set[Listener]] = {}

    @property
    def owners(self) -> frozenset[str] | None:
        """The accounts whose records any listener sees; None: those of every account."""
        owners = {sight.owner for sight in self._listeners}
        return None if None in owners else frozenset(owner for owner in owners if owner is not None)

    def __len__(self) -> int:
        """Return the number of listeners."""
        return sum(map(len, self._listeners.values()))

    @contextmanager
    def listening(self, sight: Sight) -> Generator[Listener]:
        """Yield a listener, which gets every event that is added inside the context and that it may see."""
        listener = Listener()
        self._listeners.setdefault(sight, set()).add(listener)
        try:
            yield listener
        finally:
            same = self._listeners[sight]
            same.discard(listener)
            if not same:
                del self._listeners[sight]
            if not self._listeners:
                self._forget()

    def add(self, told: Told) -> None:
        """Give the event to everybody who may see it."""
        listeners = [*self._seeing(told)]
        if not listeners or told.text is None:
            return
        self._latest.append(told)
        self._bytes_left -= len(told.text)
        while self._bytes_left < 0:
            self._drop(self._latest.popleft())
        for listener in listeners:
            listener.offer(told)

    def _seeing(self, told: Told) -> Iterator[Listener]:
        sights = [Sight(owner=None), Sight(owner=told.owner)]
        if told.file_id is not None:
            sights.append(Sight(owner=told.owner, file_id=told.file_id))
        for sight in sights:
            yield from self._listeners.get(sight, ())

    def _forget(self) -> None:
        """Drop all events: nobody listens any more."""
        while self._latest:
            self._drop(self._latest.popleft())

    def _drop(self, told: Told) -> None:
        self._bytes_left += len(told.text or b"")
        told.text = None

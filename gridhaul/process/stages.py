"""Stages of one piece of work. Each stage runs in a thread of its own and passes its items on by a bounded queue.

    stages = Stages()
    read = stages.run("reading", read_all(), ahead=2)
    checked = stages.run("checking", check_all(read), ahead=1)
    for item in checked: ...

A stage is a generator over the items of the stage before it. Its end, or the exception that ended it, travels in its
queue behind its items. So each later stage, and at last the caller, meets the exception where the next item would be.
"""

import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from threading import Condition, Lock, Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")

END_SECONDS = 1.0  # the longest wait for the threads; one that waits for MongoDB ends later, at the driver's timeout


class StagesStopped(Exception):
    """The stages were stopped. A thread that waits for an item, or for room in a queue, gets this exception."""


class Stages:
    """The stages of one piece of work, which stop together."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._queues: list[_Queue[Any]] = []
        self._threads: list[Thread] = []
        self._is_stopped = False

    def run(self, name: str, items: Generator[T], *, ahead: int) -> Iterator[T]:
        """Return the items, which a thread called `name` makes. At most `ahead` items wait while one more is made.

        The thread starts when the first item is asked for, and closes the generator when it ends.
        """
        queue: _Queue[T] = _Queue(self._lock, ahead)
        thread = Thread(target=_fill, args=(queue, items), name=name, daemon=True)
        self._queues.append(queue)
        self._threads.append(thread)
        return _started(thread, queue)

    def stop(self) -> None:
        """Stop every stage, without waiting for its thread. Any thread may call this."""
        with self._lock:
            self._is_stopped = True
            for queue in self._queues:
                queue.stop()

    def check(self) -> None:
        """Raise StagesStopped if the stages were stopped. For a caller that has taken items and uses them later."""
        if self._is_stopped:
            raise StagesStopped

    def close(self) -> None:
        """Stop every stage, and wait until the threads have ended, at most END_SECONDS."""
        self.stop()
        deadline = time.monotonic() + END_SECONDS
        for thread in reversed(self._threads):  # the last stage first: it starts the thread of the stage before it
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))


class _Queue(Generic[T]):
    """The queue between two stages: one thread puts, another takes.

    All queues share a lock, so that they stop at once.
    """

    def __init__(self, lock: Lock, room: int) -> None:
        self._room = room
        self._items: deque[T] = deque()
        self._changed = Condition(lock)
        self._has_ended = False
        self._failure: BaseException | None = None  # the exception that ended the stage before this queue
        self._is_stopped = False

    def put(self, item: T) -> None:
        """Add an item once the queue has room for it. Raises StagesStopped."""
        with self._changed:
            while len(self._items) >= self._room and not self._is_stopped:
                self._changed.wait()
            if self._is_stopped:
                raise StagesStopped
            self._items.append(item)
            self._changed.notify()

    def end(self, failure: BaseException | None) -> None:
        """Note that no more items follow, because of the exception if there is one."""
        with self._changed:
            self._has_ended, self._failure = True, failure
            self._changed.notify()

    def stop(self) -> None:
        """Drop all items and wake both threads. The caller holds the lock."""
        self._is_stopped = True
        self._items.clear()
        self._changed.notify_all()

    def __iter__(self) -> "_Queue[T]":
        return self

    def __next__(self) -> T:
        """Wait for the next item and return it. At the end raise the stage's exception. Raises StagesStopped."""
        with self._changed:
            while not self._items and not self._has_ended and not self._is_stopped:
                self._changed.wait()
            if self._is_stopped:
                raise StagesStopped
            if self._items:
                self._changed.notify()
                return self._items.popleft()
        raise self._failure or StopIteration


def _started(thread: Thread, queue: _Queue[T]) -> Iterator[T]:
    thread.start()
    yield from queue


def _fill(queue: _Queue[T], items: Generator[T]) -> None:
    failure: BaseException | None = None
    try:
        with closing(items):
            for item in items:
                queue.put(item)
                del item  # keep no reference, so that the next stage can free the item's memory
    except StagesStopped:
        return  # a stored exception would hold the last item in memory; the thread that takes gets StagesStopped anyway
    except BaseException as error:
        failure = error
    queue.end(failure)

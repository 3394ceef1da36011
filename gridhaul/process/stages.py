"""Stages of one piece of work: each runs in a thread of its own and hands what it makes to the next by a bounded queue.

    stages = Stages()
    read = stages.run("reading", read_all(), ahead=2)
    checked = stages.run("checking", check_all(read), ahead=1)
    for item in checked: ...

A stage is a generator over what the stage before it makes. The end of a stage travels in its queue behind the items,
and a failure does, too: each later stage meets it where the next item would be, and so does whoever uses the last one.
"""

import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from threading import Condition, Lock, Thread
from typing import Any, Generic, TypeVar

T = TypeVar("T")

END_SECONDS = 1.0  # a thread that MongoDB keeps waiting ends by itself, once the driver's timeout is over


class StagesStopped(Exception):
    """Nothing more is wanted of the stages: whoever waits for one of them gets this."""


class Stages:
    """The threads of the stages, which end together."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._queues: list[_Queue[Any]] = []
        self._threads: list[Thread] = []

    def run(self, name: str, items: Generator[T], *, ahead: int) -> Iterator[T]:
        """The items, made in a thread of that name: at most `ahead` of them lie ready, and one more is in the making.

        The thread starts when the first item is wanted. The items are closed in the thread that makes them.
        """
        queue: _Queue[T] = _Queue(self._lock, ahead)
        thread = Thread(target=_fill, args=(queue, items), name=name, daemon=True)
        self._queues.append(queue)
        self._threads.append(thread)
        return _started(thread, queue)

    def stop(self) -> None:
        """Tell every stage that nothing more is wanted. May be called in any thread, and does not wait."""
        with self._lock:
            for queue in self._queues:
                queue.stop()

    def close(self) -> None:
        """Stop, and wait a second at most until the threads have ended: one may wait for MongoDB for longer."""
        self.stop()
        deadline = time.monotonic() + END_SECONDS
        for thread in reversed(self._threads):  # each is started by the one after it
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))


class _Queue(Generic[T]):
    """Between two stages. One thread puts, one takes; the lock is that of all queues, so that all stop at once."""

    def __init__(self, lock: Lock, room: int) -> None:
        self._room = room
        self._items: deque[T] = deque()
        self._changed = Condition(lock)
        self._has_ended = False
        self._failure: BaseException | None = None  # that with which the items end
        self._is_stopped = False

    def put(self, item: T) -> None:
        """Wait for room. Raises StagesStopped."""
        with self._changed:
            while len(self._items) >= self._room and not self._is_stopped:
                self._changed.wait()
            if self._is_stopped:
                raise StagesStopped
            self._items.append(item)
            self._changed.notify()

    def end(self, failure: BaseException | None) -> None:
        """There are no more items, because of the failure if there is one."""
        with self._changed:
            self._has_ended, self._failure = True, failure
            self._changed.notify()

    def stop(self) -> None:
        """The lock is held."""
        self._is_stopped = True
        self._items.clear()
        self._changed.notify_all()

    def __iter__(self) -> "_Queue[T]":
        return self

    def __next__(self) -> T:
        """Wait for the next item. At the end the failure is raised, if there is one. Raises StagesStopped."""
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
                del item  # while the next one is made, this one belongs to whoever took it
    except BaseException as error:
        failure = error
    queue.end(failure)

"""Takes what a walk yields in bunches, in a thread of its own. A bunch ends by count, by time, or once nobody waits."""

import asyncio
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

from gridhaul.source.found import Found, Passed
from gridhaul.transfer.batches import Skipped

BUNCH = 1000  # files of one write
BUNCH_SECONDS = 1.0  # a walk of a million files of which none is taken notes how far it came this often

Step = Found | Skipped | Passed


@dataclass(frozen=True, kw_only=True, slots=True)
class Bunch:
    """Files that a walk found since the bunch before, and paths that it skipped."""

    items: Sequence[Found | Skipped]
    after: str  # the path of the last step: a walk goes on after it
    is_last: bool  # the walk has ended


class Bunches:
    """The bunches of one walk. A context manager, which ends the walk."""

    def __init__(self, steps: Generator[Step]) -> None:
        self._steps = steps
        self._unwanted = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="walking")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the walk end after the step at which it is, and close it then, in its own thread.

        Nobody waits for that: the file system may not answer.
        """
        self._unwanted.set()
        self._thread.submit(self._steps.close)
        self._thread.shutdown(wait=False)

    async def next(self) -> Bunch:
        """Return the next bunch. Raises what the walk raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._next)

    def _next(self) -> Bunch:
        items: list[Found | Skipped] = []
        step: Step | None = None
        until = time.monotonic() + BUNCH_SECONDS
        for step in self._steps:
            if not isinstance(step, Passed):
                items.append(step)
            if len(items) == BUNCH or time.monotonic() >= until or self._unwanted.is_set():
                return Bunch(items=items, after=step.path, is_last=False)
        return Bunch(items=items, after=step.path if step is not None else "", is_last=True)

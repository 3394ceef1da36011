"""What is asked for while the same is under way is done right after it, together: one command instead of many.

Whoever comes alone waits for nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Together(Generic[K, T]):
    """Belongs to one event loop. `do` says of each item what went wrong with it, or raises for all of them."""

    def __init__(self, do: Callable[[K, Sequence[T]], Awaitable[Sequence[Exception | None]]]) -> None:
        self._do = do
        self._waiting: dict[K, list[tuple[T, asyncio.Future[None]]]] = {}  # while something is under way
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, item: T) -> None:
        """Raises what went wrong. An item whose caller was cancelled is left out, unless it is under way."""
        if key in self._waiting:
            done = asyncio.get_running_loop().create_future()
            self._waiting[key].append((item, done))
            await done
            return
        self._waiting[key] = []
        try:
            (failure,) = await self._do(key, [item])
        finally:
            self._go_on(key)
        if failure is not None:
            raise failure

    def _go_on(self, key: K) -> None:
        """Those that still wait are next, if there are any."""
        waiting = [(item, done) for item, done in self._waiting.pop(key) if not done.done()]
        if waiting:
            self._waiting[key] = []
            task = asyncio.create_task(self._serve(key, waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, key: K, waiting: Sequence[tuple[T, asyncio.Future[None]]]) -> None:
        try:
            failures = await self._do(key, [item for item, _ in waiting])
        except Exception as error:
            failures = [error] * len(waiting)
        finally:
            self._go_on(key)
        for (_, done), failure in zip(waiting, failures, strict=True):
            if not done.done():
                done.set_exception(failure) if failure is not None else done.set_result(None)

"""What is asked for at once, or while the same is under way, is done together: one command instead of many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")


class Together(Generic[K, T]):
    """Belongs to one event loop. `do` says of each item what went wrong with it, or raises for all of them."""

    def __init__(self, do: Callable[[K, Sequence[T]], Awaitable[Sequence[Exception | None]]]) -> None:
        self._do = do
        self._waiting: dict[K, list[tuple[T, asyncio.Future[None]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, item: T) -> None:
        """Raises what went wrong. Whoever is cancelled before it is under way is left out."""
        if key not in self._waiting:
            self._waiting[key] = []
            task = asyncio.create_task(self._serve(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        done = asyncio.get_running_loop().create_future()
        self._waiting[key].append((item, done))
        await done

    async def _serve(self, key: K) -> None:
        try:
            while waiting := [(item, done) for item, done in self._waiting[key] if not done.done()]:
                self._waiting[key] = []
                await self._do_all(key, waiting)
        finally:
            del self._waiting[key]

    async def _do_all(self, key: K, waiting: Sequence[tuple[T, asyncio.Future[None]]]) -> None:
        try:
            failures = await self._do(key, [item for item, _ in waiting])
        except Exception as error:
            failures = [error] * len(waiting)
        for (_, done), failure in zip(waiting, failures, strict=True):
            if done.done():
                continue
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(failure)

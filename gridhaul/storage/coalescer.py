"""What is asked for at once, or while the same is under way, is done together: one command instead of many."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


class Coalescer(Generic[K, T, R]):
    """Belongs to one event loop. `do` gives what came of each item or went wrong with it, or raises for all of them."""

    def __init__(self, do: Callable[[K, Sequence[T]], Awaitable[Sequence[R | Exception]]]) -> None:
        self._do = do
        self._waiting: dict[K, list[tuple[T, asyncio.Future[R]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, item: T) -> R:
        """What came of it; it is begun after it was asked for. Raises what went wrong.

        Whoever is cancelled before it is under way is left out.
        """
        if key not in self._waiting:
            self._waiting[key] = []
            task = asyncio.create_task(self._serve(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting[key].append((item, done))
        return await done

    async def _serve(self, key: K) -> None:
        try:
            while waiting := [(item, done) for item, done in self._waiting[key] if not done.done()]:
                self._waiting[key] = []
                await self._do_all(key, waiting)
        finally:
            del self._waiting[key]

    async def _do_all(self, key: K, waiting: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        outcomes: Sequence[R | Exception]
        try:
            outcomes = await self._do(key, [item for item, _ in waiting])
        except Exception as error:
            outcomes = [error] * len(waiting)
        except BaseException:  # the process ends
            for _, done in waiting:
                done.cancel()
            raise
        for (_, done), outcome in zip(waiting, outcomes, strict=True):
            if done.done():
                continue
            if isinstance(outcome, Exception):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)

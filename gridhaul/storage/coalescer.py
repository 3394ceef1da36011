"""One command for many requests: requests that arrive together, or while an earlier command runs, share a command."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


class Coalescer(Generic[K, T, R]):
    """Serves the requests of one event loop. Requests with the same key share a command, `do`.

    `do` takes a key and the requests' items. It returns a result or an exception for each item, in the same order; an
    exception that `do` raises counts for all of the items.
    """

    def __init__(self, do: Callable[[K, Sequence[T]], Awaitable[Sequence[R | Exception]]]) -> None:
        self._do = do
        self._waiting: dict[K, list[tuple[T, asyncio.Future[R]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, key: K, item: T) -> R:
        """Return the item's result, or raise its exception.

        The command begins after this call, so it sees everything that was acknowledged before. If the caller is
        cancelled before the command begins, the command leaves the item out.
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
        except BaseException:  # the process stops: release the callers, for whom no outcome will come
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

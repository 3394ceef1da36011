"""Waiting on the event loop for what a thread or a task does, until it has ended."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def ended(waited_for: asyncio.Future[Any], *, when_cancelled: Callable[[], None] | None = None) -> None:
    """Wait until it is done, well or not. When cancelled meanwhile, the CancelledError comes once it is done.

    So what it uses can be closed next. `when_cancelled` makes that end come soon.
    """
    try:
        await asyncio.wait([waited_for])
    except asyncio.CancelledError:
        if when_cancelled is not None:
            when_cancelled()
        while not waited_for.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([waited_for])
        raise


async def thread_ended(future: asyncio.Future[T], *, when_cancelled: Callable[[], None] | None = None) -> T:
    """What the thread gives or raises, waiting for its end as `ended` does."""
    try:
        await ended(future, when_cancelled=when_cancelled)
    except asyncio.CancelledError:
        future.exception()  # nobody is left to hear of it
        raise
    return future.result()


async def in_thread(call: Callable[[], T], *, when_cancelled: Callable[[], None] | None = None) -> T:
    """Call it in a thread of the event loop's own, waiting for its end as `ended` does."""
    return await thread_ended(asyncio.get_running_loop().run_in_executor(None, call), when_cancelled=when_cancelled)

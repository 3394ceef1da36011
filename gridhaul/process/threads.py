"""Waiting on the event loop until a thread's call or a task has ended."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def ended(waited_for: asyncio.Future[Any], *, when_cancelled: Callable[[], None] | None = None) -> None:
    """Wait until the future is done, whether it succeeded or failed.

    When cancelled, call `when_cancelled`, which should make the future end soon, and raise CancelledError only once the
    future is done. Then the caller can close what the future uses.
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
    """Wait as `ended` does for a thread's call, and return its result. Raises what the call raised."""
    try:
        await ended(future, when_cancelled=when_cancelled)
    except asyncio.CancelledError:
        future.exception()  # marks the exception as retrieved, because no caller is left to receive it
        raise
    return future.result()


async def in_thread(call: Callable[[], T], *, when_cancelled: Callable[[], None] | None = None) -> T:
    """Run the call in a thread of the event loop's executor and return its result. Wait for its end as `ended` does."""
    return await thread_ended(asyncio.get_running_loop().run_in_executor(None, call), when_cancelled=when_cancelled)

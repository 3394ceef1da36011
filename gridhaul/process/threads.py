"""Waiting on the event loop until a thread's call has ended."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def thread_ended(future: asyncio.Future[T], *, when_cancelled: Callable[[], None] | None = None) -> T:
    """Wait until a thread's call is done, and return its result. Raises what the call raised.

    When cancelled, call `when_cancelled`, which should make the call end soon, and raise CancelledError only once the
    call is done. Then the caller can close what the call uses.
    """
    try:
        await asyncio.wait([future])
    except asyncio.CancelledError:
        if when_cancelled is not None:
            when_cancelled()
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        future.exception()  # marks the exception as retrieved, because no caller is left to receive it
        raise
    return future.result()


async def in_thread(call: Callable[[], T], *, when_cancelled: Callable[[], None] | None = None) -> T:
    """Run the call in a thread of the event loop's executor, and wait for it as `thread_ended` does."""
    return await thread_ended(asyncio.get_running_loop().run_in_executor(None, call), when_cancelled=when_cancelled)

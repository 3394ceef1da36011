"""Waiting on the event loop for what a thread does."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def thread_ended(future: asyncio.Future[T], *, when_cancelled: Callable[[], None] | None = None) -> T:
    """What the thread gives or raises. When cancelled, still wait for its end: what it uses is closed next.

    `when_cancelled` makes that end come soon.
    """
    try:
        await asyncio.wait([future])
    except asyncio.CancelledError:
        if when_cancelled is not None:
            when_cancelled()
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([future])
        future.exception()  # nobody is left to hear of it
        raise
    return future.result()

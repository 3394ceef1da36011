"""The end of a probe: the objects that it wrote are removed, also if it failed."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from gridhaul.transfer.errors import GridhaulError


@asynccontextmanager
async def cleared_at_the_end(clear: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Call `clear` after the block. After an error of the block, an error of `clear` is ignored.

    The record that asked for the probe has noted its scratch, so somebody clears what is left later.
    """
    try:
        yield
    except GridhaulError:
        with suppress(GridhaulError):
            await clear()
        raise
    await clear()

"""Loops of the api beside its requests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from structlog.typing import FilteringBoundLogger

from gridhaul.transfer.errors import GridhaulError


async def repeat(
    step: Callable[[], Awaitable[None]], *, every_seconds: float, log: FilteringBoundLogger, name: str
) -> NoReturn:
    """Until cancelled. A step that raises is logged, as `name` with `_failed` or `_broke`, and the next one comes."""
    while True:
        try:
            await step()
        except GridhaulError as error:
            log.warning(f"{name}_failed", code=error.code, detail=error.detail, cause=repr(error.__cause__))
        except Exception:
            log.exception(f"{name}_broke")
        await asyncio.sleep(every_seconds)

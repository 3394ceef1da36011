"""The loop in which the api repeats a step in the background, while it answers requests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from structlog.typing import FilteringBoundLogger

from gridhaul.process.cancellation import end_if_cancelled
from gridhaul.transfer.errors import GridhaulError


async def repeat(
    step: Callable[[], Awaitable[None]], *, every_seconds: float, log: FilteringBoundLogger, name: str
) -> NoReturn:
    """Call `step`, wait, and repeat, until cancelled.

    If a step raises, a GridhaulError is logged as `{name}_failed`, any other exception as `{name}_broke`, and the loop
    continues.
    """
    while True:
        try:
            await step()
        except GridhaulError as error:
            log.warning(f"{name}_failed", code=error.code, detail=error.detail, cause=repr(error.__cause__))
        except Exception:
            log.exception(f"{name}_broke")
        end_if_cancelled()
        await asyncio.sleep(every_seconds)

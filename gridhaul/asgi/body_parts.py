"""The parts of a request's body as they arrive."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Request

from gridhaul.transfer.errors import RequestTimeout


async def arriving(request: Request, stall_seconds: float) -> AsyncIterator[bytes]:
    """Yield the parts of the body as they arrive.

    Raises RequestTimeout if nothing arrives for `stall_seconds`, and ClientDisconnect.
    """
    parts = aiter(request.stream())
    while True:
        try:
            async with asyncio.timeout(stall_seconds):
                part = await anext(parts, b"")
        except TimeoutError:
            raise RequestTimeout("The body stopped arriving.") from None
        if not part:
            return
        yield part

"""Downloads of stored content: their number is bounded, and a client that stops reading is disconnected."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from gridhaul.asgi.concurrency_limit import ConcurrencyLimit
from gridhaul.transfer.errors import DownloadsBusy

DOWNLOADS_AT_ONCE = 8  # each download holds up to 32 MiB of memory
UNREAD_SECONDS = 60.0


def download_slots() -> ConcurrencyLimit:
    """Return the limit of downloads at once in one process."""
    return ConcurrencyLimit(
        DOWNLOADS_AT_ONCE,
        lambda: DownloadsBusy("As many files are being downloaded as the server allows; try again."),
    )


async def slotted(chunks: AsyncGenerator[bytes], slots: ConcurrencyLimit) -> AsyncGenerator[bytes]:
    """Yield the chunks, and hold a slot from the first to the last. Raises DownloadsBusy."""
    async with aclosing(chunks):
        with slots.hold(1):
            async for chunk in chunks:
                yield chunk


class Download(StreamingResponse):
    """A streaming response that ends the connection when the client has not taken a chunk for a minute."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(UNREAD_SECONDS):
                await send(message)

        await super().__call__(scope, receive, send_in_time)

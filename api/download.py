"""Downloads of stored content: their number is bounded, and a client that stops reading is disconnected."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from gridhaul.asgi.concurrency_limit import ConcurrencyLimit
from gridhaul.process.threads import thread_ended
from gridhaul.transfer.errors import DownloadsBusy
from gridhaul.transfer.ports.contents import Chunks

DOWNLOADS_AT_ONCE = 8  # each download holds up to 32 MiB of memory
UNREAD_SECONDS = 60.0
TAKEN_AT_ONCE = 4  # chunks that one call in a thread takes, so that the event loop makes few calls


def download_slots() -> ConcurrencyLimit:
    """Return the limit of downloads at once in one process."""
    return ConcurrencyLimit(
        DOWNLOADS_AT_ONCE,
        lambda: DownloadsBusy("As many files are being downloaded as the server allows; try again."),
    )


async def slotted(chunks: Chunks, slots: ConcurrencyLimit) -> AsyncGenerator[bytes]:
    """Yield the chunks, and hold a slot from the first to the last. Raises DownloadsBusy."""
    with slots.hold(1), ThreadPoolExecutor(1, thread_name_prefix="downloading") as thread:
        loop, taking = asyncio.get_running_loop(), iter(chunks)
        try:
            while some := await thread_ended(
                loop.run_in_executor(thread, lambda: list(islice(taking, TAKEN_AT_ONCE))), when_cancelled=chunks.stop
            ):
                for chunk in some:
                    yield chunk
        finally:
            await thread_ended(loop.run_in_executor(thread, chunks.close))


class Download(StreamingResponse):
    """A streaming response that ends the connection when the client has not taken a chunk for a minute."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(UNREAD_SECONDS):
                await send(message)

        await super().__call__(scope, receive, send_in_time)

"""Streams of stored content to clients: a bounded number at once, and none for a client that does not read."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from gridhaul.transfer.errors import DownloadsBusy

DOWNLOADS_AT_ONCE = 8  # each holds up to 32 MiB
UNREAD_SECONDS = 60.0


class DownloadSlots:
    """Refuses instead of waiting."""

    def __init__(self, limit: int = DOWNLOADS_AT_ONCE) -> None:
        self._free = limit

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises DownloadsBusy."""
        if not self._free:
            raise DownloadsBusy("As many files are being downloaded as the server allows; try again.")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


async def slotted(chunks: AsyncGenerator[bytes], slots: DownloadSlots) -> AsyncGenerator[bytes]:
    """The chunks, with a slot held from the first to the last. Raises DownloadsBusy."""
    async with aclosing(chunks):
        with slots.held():
            async for chunk in chunks:
                yield chunk


class Download(StreamingResponse):
    """Ends the connection when the client has not taken a chunk for a minute."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(UNREAD_SECONDS):
                await send(message)

        await super().__call__(scope, receive, send_in_time)

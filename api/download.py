"""Downloads of stored content. Threads verify the bytes. A client that reads them too slowly is disconnected."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from itertools import islice

from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from gridhaul.asgi.problems import log_failure
from gridhaul.asgi.request_log import note
from gridhaul.process.threads import thread_ended
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.ports.contents import Chunks

# A client must read each chunk of 1 MiB within this time. The kernel accepts bytes for a slow client in bursts of up to
# 1.4 MiB, so a client is fast enough if it reads 60 KiB/s all the time. `answer_seconds` in
# `gridhaul/asgi/connection_limits.py` must be longer, because the server then ends the connection and logs no reason.
CHUNK_SECONDS = 25.0
CHUNKS_A_CALL = 4  # how many chunks one call in a thread reads; with one chunk a call, the event loop would be busier
CHUNKS_OF_RANGE_A_CALL = 1  # a range is to hold little memory


class _TooSlow(Exception):
    """The client did not read a chunk in time."""


async def read_in_thread(chunks: Chunks, *, at_once: int) -> AsyncGenerator[bytes]:
    """Yield the chunks, of which a thread reads `at_once` in each call, and close them at the end.

    Raises what iterating over them raises.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="downloading") as thread:
        loop, unread = asyncio.get_running_loop(), iter(chunks)
        try:
            while some := await thread_ended(
                loop.run_in_executor(thread, lambda: list(islice(unread, at_once))), when_cancelled=chunks.stop
            ):
                while some:
                    yield some.pop(0)  # keep no reference to a chunk that was sent
        finally:
            await thread_ended(loop.run_in_executor(thread, chunks.close))


class Download(StreamingResponse):
    """A streaming response that ends early if the client reads a chunk too slowly, or if the next chunk is damaged.

    The server then closes the connection, so the client receives less than the declared length.
    """

    chunk_seconds = CHUNK_SECONDS

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes], *, status: int, headers: Mapping[str, str]) -> None:
        """`first` is the first chunk, empty if there is none. `rest` is closed at the end in any case."""
        super().__init__(_joined(first, rest), status_code=status, headers=headers)
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self.chunk_seconds):
                    await send(message)
            except TimeoutError:
                raise _TooSlow from None

        async with aclosing(self._rest):
            try:
                await super().__call__(scope, receive, send_in_time)
            except _TooSlow:
                note(ended=f"The client read less than 1 MiB in {self.chunk_seconds:.0f} s.")
            except GridhaulError as error:
                log_failure(error)


async def _joined(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    if first:
        yield first
    async for chunk in rest:
        yield chunk

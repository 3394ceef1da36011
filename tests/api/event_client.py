"""A client of streams of events, for the api within the test's own event loop; it speaks HTTP over real connections."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2

from tests.api.service import TOKEN, Api
from tests.asgi.connections import served

DEADLINE_SECONDS = 10.0


@dataclass(kw_only=True)
class Stream:
    """One stream, and the events that have arrived of it."""

    response: httpx2.Response
    events: list[httpx2.ServerSentEvent] = field(default_factory=list)
    retry: int | None = None
    over: bool = False
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        """Read events until the stream ends."""
        try:
            async for one in httpx2.EventSource(self.response):
                async with self._news:
                    if one.retry is not None:
                        self.retry = one.retry
                    if one.data:
                        self.events.append(one)
                    self._news.notify_all()
        finally:
            async with self._news:
                self.over = True
                self._news.notify_all()

    async def until(self, question: Any) -> Any:
        """Wait until the answer of `question(self)` is true, and return it."""
        async with self._news, asyncio.timeout(DEADLINE_SECONDS):
            while not (answer := question(self)):
                await self._news.wait()
        return answer

    def told(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the data of the events of the kind, or of all kinds."""
        return [json.loads(one.data) for one in self.events if kind in (None, one.event)]

    async def states(self, record_id: str, state: str) -> Self:
        """Wait until the stream has told that the record has this state."""
        await self.until(lambda _: any(record_id in one.values() and one["state"] == state for one in self.told()))
        return self


class Streams:
    """Opens streams at one server."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    @asynccontextmanager
    async def opened(self, path: str = "/events", *, token: str = TOKEN, **headers: str) -> AsyncIterator[Stream]:
        """Open a stream, and yield it once it has begun."""
        sent = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): text for name, text in headers.items()}}
        async with self.http.stream("GET", path, headers=sent) as response:
            stream = Stream(response=response)
            assert response.status_code == 200, (await response.aread()).decode()
            reading = asyncio.create_task(stream.read())
            try:
                await stream.until(lambda one: one.retry)
                yield stream
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


@asynccontextmanager
async def streaming(api: Api) -> AsyncIterator[Streams]:
    """Serve the api on a port, and yield a client for it."""
    async with served(api.app) as connect:
        _, writer = await connect()
        host, port = writer.get_extra_info("peername")
        limits = httpx2.Limits(max_connections=None)
        url = f"http://{host}:{port}"
        async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=DEADLINE_SECONDS, trust_env=False) as http:
            yield Streams(http)

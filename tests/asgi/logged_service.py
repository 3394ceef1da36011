"""A served application together with its log: the lines of the application, and the errors of uvicorn."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from logging import ERROR, LogRecord, getLogger
from logging.handlers import BufferingHandler

from starlette.types import ASGIApp
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.asgi.connections import Connection, served
from tests.contracts.ports import eventually

MANY = 10_000  # more records than any test logs: the handler forgets its records when it has so many


@dataclass(frozen=True, kw_only=True)
class Logged:
    connect: Callable[[], Awaitable[Connection]]
    lines: list[EventDict]
    server_errors: list[LogRecord]

    async def requests(self, number: int) -> list[EventDict]:
        """Wait until so many requests have ended, and return their lines in order."""

        async def found() -> list[EventDict]:
            ended = [line for line in self.lines if line["event"] == "request"]
            return ended if len(ended) >= number else []

        return await eventually(found)


@asynccontextmanager
async def logged(app: ASGIApp) -> AsyncGenerator[Logged]:
    """Serve the app. At the end, fail if uvicorn logged a traceback or the app an unexpected error."""
    server, handler = getLogger("uvicorn.error"), BufferingHandler(MANY)
    with capture_logs(processors=[merge_contextvars]) as lines:
        try:
            async with served(app) as connect:
                # Not earlier: uvicorn removes all handlers and sets the level when `served` configures it.
                server.addHandler(handler)
                server.setLevel(ERROR)
                yield Logged(connect=connect, lines=lines, server_errors=handler.buffer)
        finally:
            server.removeHandler(handler)
    assert [record for record in handler.buffer if record.exc_info] == []
    assert [line for line in lines if line["event"] == "unexpected_error"] == []

"""Requests that are still open when uvicorn stops: it cancels their tasks once the graceful time is over."""

import asyncio
import json
from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse
from starlette.types import Message

from tests.asgi.service import service


async def _cancelled(path: str) -> list[Message]:
    """Return what a request has been answered when its task was cancelled while its route waited."""
    waiting, sent = asyncio.Event(), list[Message]()
    app = service()

    @app.get("/unanswered")
    async def unanswered() -> None:
        waiting.set()
        await asyncio.Event().wait()

    async def part() -> AsyncGenerator[bytes]:
        yield b"part"
        waiting.set()
        await asyncio.Event().wait()

    @app.get("/begun", response_class=StreamingResponse)
    async def begun() -> StreamingResponse:
        return StreamingResponse(part())

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nothing arrives")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "http_version": "1.1"}
    scope |= {"scheme": "http", "server": ("service", 80), "headers": [(b"host", b"service")]}
    task = asyncio.create_task(app(scope, receive, send))
    await waiting.wait()
    task.cancel()
    await task  # without an error, for which uvicorn would log a traceback
    return sent


async def test_request_that_is_open_when_the_service_stops_is_told_to_come_again() -> None:
    start, body = await _cancelled("/unanswered")
    assert (start["status"], json.loads(body["body"])["code"]) == (503, "service_stopping")
    assert b"retry-after" in dict(start["headers"])


async def test_answer_that_has_begun_when_the_service_stops_ends_without_an_error() -> None:
    assert [message["type"] for message in await _cancelled("/begun")] == ["http.response.start", "http.response.body"]

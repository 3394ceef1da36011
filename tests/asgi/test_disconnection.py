"""Clients that disconnect: the service logs one line and no error, and cancels the work that nobody waits for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message

from gridhaul.asgi.disconnection import while_connected
from tests.asgi.logged_service import Logged, logged
from tests.asgi.service import service
from tests.asgi.test_bounded_route import with_routes

JSON = b"POST /in/json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
FORM = (
    b"POST /in/form HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 100\r\n\r\nname="
)
CHUNKED = b"PUT /in/stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
BODIES = pytest.mark.parametrize("request_head", [JSON, FORM, CHUNKED], ids=["JSON", "form", "stream"])


@asynccontextmanager
async def quiet(app: FastAPI) -> AsyncIterator[Logged]:
    """Serve the app. At the end, fail if uvicorn logged an error, or the app anything except requests."""
    async with logged(app) as found:
        yield found
    assert [record.getMessage() for record in found.server_errors] == []
    assert {line["event"] for line in found.lines} == {"request"}


async def end_of_request(place: Logged) -> dict[str, Any]:
    """Wait for the line of the only request, and return what it says about the end."""
    [line] = await place.requests(1)
    return {name: line[name] for name in ("status", "disconnected") if name in line}


@BODIES
async def test_client_that_leaves_within_its_body_is_one_quiet_line(request_head: bytes) -> None:
    async with quiet(with_routes(service())) as place:
        _, writer = await place.connect()
        writer.write(request_head)
        await writer.drain()
        writer.close()
        assert await end_of_request(place) == {"status": 499, "disconnected": True}


async def test_client_that_leaves_before_its_answer_is_one_quiet_line() -> None:
    app, asked, answering = with_routes(service()), asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        asked.set()
        await answering.wait()
        return "late"

    async with quiet(app) as place:
        _, writer = await place.connect()
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await asked.wait()
        writer.transport.abort()
        await writer.wait_closed()
        answering.set()
        # No code reads from the client during the work, so nobody notices that the client has left.
        assert await end_of_request(place) == {"status": 200}


async def test_client_that_leaves_within_the_answer_is_one_quiet_line() -> None:
    async with quiet(endless(service())) as place:
        reader, writer = await place.connect()
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        assert await end_of_request(place) == {"status": 200, "disconnected": True}


def endless(app: FastAPI) -> FastAPI:
    async def zeros() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)
            await asyncio.sleep(0)  # lets the server notice that the client has left

    @app.get("/endless")
    async def answer() -> StreamingResponse:
        return StreamingResponse(zeros())

    return app


def receiving(*types: str) -> Any:
    """Return a `receive` that gives messages of these types, and then waits for ever."""
    messages: list[Message] = [{"type": each} for each in reversed(types)]

    async def receive() -> Message:
        return messages.pop() if messages else await asyncio.Event().wait()  # type: ignore[return-value]

    return receive


async def test_work_of_a_client_that_stays_is_returned_and_its_error_raised() -> None:
    async def work() -> int:
        return 7

    async def failing() -> int:
        raise ValueError("text")

    assert await while_connected(receiving("http.request"), work()) == 7
    with pytest.raises(ValueError, match="text"):
        await while_connected(receiving("http.request"), failing())


async def test_work_of_a_client_that_leaves_is_cancelled_and_has_ended() -> None:
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    with pytest.raises(ClientDisconnect):
        await while_connected(receiving("http.request", "http.disconnect"), work())
    assert ended == [True]


async def test_work_is_cancelled_with_the_request() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await while_connected(receiving("http.request"), work())
    assert ended.is_set()

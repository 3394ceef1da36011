"""Clients that go away: the service logs one quiet line, sends nothing more, and gives up what it waits for."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message
from structlog.testing import capture_logs
from structlog.typing import EventDict

from gridhaul.asgi.disconnection import while_connected
from tests.asgi.connections import served
from tests.asgi.service import service
from tests.asgi.test_bounded_route import with_routes
from tests.contracts.ports import eventually

JSON = b"POST /in/json HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
FORM = (
    b"POST /in/form HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 100\r\n\r\nname="
)
CHUNKED = b"PUT /in/stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
BODIES = pytest.mark.parametrize("request_head", [JSON, FORM, CHUNKED], ids=["JSON", "form", "stream"])


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[EventDict]]:
    """Yield the lines of the request log. Fails if the server or the application logged anything else."""
    server = logging.getLogger("uvicorn.error")
    server.addHandler(caplog.handler)
    try:
        with capture_logs() as found:
            yield found
    finally:
        server.removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records if record.name == "uvicorn.error"] == []
    assert {line["event"] for line in found} == {"request"}


async def only(lines: list[EventDict]) -> dict[str, Any]:
    """Wait for the line of the request, and return what it says about the end."""

    async def found() -> list[EventDict]:
        return lines

    [line] = await eventually(found)
    return {name: line[name] for name in ("status", "disconnected") if name in line}


def log_server_errors() -> None:
    """Let uvicorn log errors; `served` has silenced it."""
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


@BODIES
async def test_client_that_leaves_within_its_body_is_one_quiet_line(
    request_head: bytes, lines: list[EventDict]
) -> None:
    async with served(with_routes(service())) as connect:
        log_server_errors()
        _, writer = await connect()
        writer.write(request_head)
        await writer.drain()
        writer.close()
        assert await only(lines) == {"status": 499, "disconnected": True}


async def test_client_that_leaves_before_its_answer_is_one_quiet_line(lines: list[EventDict]) -> None:
    app, asked, answering = with_routes(service()), asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        asked.set()
        await answering.wait()
        return "late"

    async with served(app) as connect:
        log_server_errors()
        _, writer = await connect()
        writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await asked.wait()
        writer.transport.abort()
        await writer.wait_closed()
        answering.set()
        assert await only(lines) == {"status": 200}  # the work was done, and no code tried to read from the client


async def test_client_that_leaves_within_the_answer_is_one_quiet_line(lines: list[EventDict]) -> None:
    async with served(endless(service())) as connect:
        log_server_errors()
        reader, writer = await connect()
        writer.write(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        assert await only(lines) == {"status": 200, "disconnected": True}


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

"""A service that cannot start logs one line, without a traceback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import Message

from gridhaul.asgi import chain
from gridhaul.process.settings import SettingsError

WRONG = "GRIDHAUL_MONGO_URL: is not set"


async def start(error: Exception | None) -> list[Message]:
    """Start a service whose start raises the error, and stop it; return what it tells its server."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if error is not None:
            raise error
        yield

    app = FastAPI(lifespan=lifespan)
    chain.install(app)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.shutdown" if sent else "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    try:
        await app({"type": "lifespan", "state": {}}, receive, send)
    except ZeroDivisionError:
        sent.append({"type": "raised"})
    return sent


async def test_wrong_setting_is_told_without_a_traceback() -> None:
    assert await start(SettingsError(WRONG)) == [{"type": "lifespan.startup.failed", "message": WRONG}]


async def test_bug_is_told_with_its_traceback() -> None:
    failed, raised = await start(ZeroDivisionError())
    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"].startswith("Traceback")
    assert raised["type"] == "raised"


async def test_service_that_can_start_starts_and_stops() -> None:
    assert [message["type"] for message in await start(None)] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]

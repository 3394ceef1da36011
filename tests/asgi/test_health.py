"""`/readyz`: the status, the state of each part, and how often the parts are looked at."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI

from gridhaul.asgi import health
from gridhaul.asgi.health import Check, Health, health_routes
from gridhaul.transfer.errors import BrokerUnavailable, DatabaseUnavailable


class Counted:
    """A part that is fine, and counts how often it is looked at."""

    looks = 0

    async def check(self) -> None:
        self.looks += 1


async def fine() -> None:
    pass


async def no_database() -> None:
    raise DatabaseUnavailable("It is away.")


async def no_broker() -> None:
    raise BrokerUnavailable("It is away.")


async def silent() -> None:
    await asyncio.sleep(60)


@asynccontextmanager
async def client(needed: Mapping[str, Check], others: Mapping[str, Check]) -> AsyncIterator[httpx2.AsyncClient]:
    app, told = FastAPI(), Health(needed=needed, others=others)
    app.include_router(health_routes(lambda: told))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service") as http:
        yield http


async def test_needed_part_that_is_away_makes_the_service_unready() -> None:
    async with client({"mongodb": no_database}, {"redis": fine}) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"mongodb": "database_unavailable", "redis": "ok"})


async def test_other_part_that_is_away_is_told_with_200() -> None:
    async with client({"mongodb": fine}, {"redis": no_broker}) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"mongodb": "ok", "redis": "broker_unavailable"})


async def test_silent_parts_are_waited_for_together_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.1)
    async with client({"mongodb": silent}, {"disk": silent, "redis": fine}) as http, asyncio.timeout(5):
        answer = await http.get("/readyz")
    away = "database_unavailable"
    assert (answer.status_code, answer.json()) == (503, {"mongodb": away, "disk": away, "redis": "ok"})


async def test_many_requests_at_once_are_one_look() -> None:
    part = Counted()
    async with client({"mongodb": part.check}, {}) as http:
        answers = await asyncio.gather(*(http.get("/readyz") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert part.looks == 1


async def test_next_look_follows_when_the_states_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REUSED_SECONDS", 0.0)
    part = Counted()
    async with client({"mongodb": part.check}, {}) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
    assert part.looks == 2

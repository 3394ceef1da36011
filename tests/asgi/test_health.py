"""`/readyz`: the status, the state of each part, and how often the parts are checked."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI

from gridhaul.asgi import health
from gridhaul.asgi.health import Health, PartCheck, database_check, health_routes
from gridhaul.transfer.errors import BrokerUnavailable, DatabaseUnavailable


class Counted:
    """A part that is available, and counts its checks."""

    checks = 0

    async def check(self) -> None:
        self.checks += 1


async def available() -> None:
    pass


async def no_database() -> None:
    raise DatabaseUnavailable("The database does not answer.")


async def no_broker() -> None:
    raise BrokerUnavailable("The broker does not answer.")


async def silent() -> None:
    await asyncio.sleep(60)


@asynccontextmanager
async def client(
    needed: Mapping[str, PartCheck], others: Mapping[str, PartCheck], **notes: str | int
) -> AsyncIterator[httpx2.AsyncClient]:
    app, states = FastAPI(), Health(needed=needed, others=others, notes=lambda: notes)
    app.include_router(health_routes(lambda: states))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service") as http:
        yield http


async def test_needed_part_that_is_unavailable_makes_the_service_unready() -> None:
    async with client({"mongodb": no_database}, {"redis": available}) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"mongodb": "database_unavailable", "redis": "ok"})


async def test_other_part_that_is_unavailable_is_reported_with_200() -> None:
    async with client({"mongodb": available}, {"redis": no_broker}) as http:
        answer = await http.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"mongodb": "ok", "redis": "broker_unavailable"})


async def test_notes_follow_the_parts_and_decide_nothing() -> None:
    async with client({"mongodb": available}, {}, redis_detail="Something lies there.", messages=2) as http:
        answer = await http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"mongodb": "ok", "redis_detail": "Something lies there.", "messages": 2}


async def test_silent_database_is_unavailable_soon_however_many_checks_ask_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "DATABASE_SECONDS", 0.1)
    needed, others = {"mongodb": database_check(silent)}, {"disk": database_check(silent), "redis": available}
    async with client(needed, others) as http, asyncio.timeout(5):
        answer = await http.get("/readyz")
    silence = "database_unavailable"
    assert (answer.status_code, answer.json()) == (503, {"mongodb": silence, "disk": silence, "redis": "ok"})


async def test_only_a_check_of_the_database_reports_the_database_for_a_silent_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "DATABASE_SECONDS", 0.01)

    async def slow_broker() -> None:
        await asyncio.sleep(0.1)
        await no_broker()

    async with client({"mongodb": available}, {"redis": slow_broker}) as http:
        answer = await http.get("/readyz")
    assert answer.json() == {"mongodb": "ok", "redis": "broker_unavailable"}


async def test_many_requests_at_once_share_one_check() -> None:
    part = Counted()
    async with client({"mongodb": part.check}, {}) as http:
        answers = await asyncio.gather(*(http.get("/readyz") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert part.checks == 1


async def test_parts_are_checked_again_when_the_states_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REUSED_SECONDS", 0.0)
    part = Counted()
    async with client({"mongodb": part.check}, {}) as http:
        assert (await http.get("/readyz")).status_code == 200
        assert (await http.get("/readyz")).status_code == 200
    assert part.checks == 2

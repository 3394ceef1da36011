"""Header fields that a request may have only once."""

import httpx2
import pytest
from fastapi import FastAPI

from gridhaul.asgi.single_fields import SINGLE_FIELDS
from tests.asgi.service import client, service


def app() -> FastAPI:
    made = service()

    @made.get("/item")
    async def item() -> dict[str, str]:
        return {}

    return made


async def asked(*fields: tuple[str, str]) -> httpx2.Response:
    async with client(app()) as http:
        return await http.get("/item", headers=[("Host", "service"), *fields])


@pytest.mark.parametrize("name", sorted(name.decode() for name in SINGLE_FIELDS))
@pytest.mark.parametrize("values", [("a", "b"), ("a", "a")], ids=["different", "same"])
async def test_field_that_counts_once_is_refused_twice(name: str, values: tuple[str, str]) -> None:
    answer = await asked(*((name, value) for value in values))
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert name in answer.json()["detail"].lower()


async def test_field_that_is_a_list_may_come_in_parts() -> None:
    assert (await asked(("Accept", "text/html"), ("Accept", "application/json"))).status_code == 200


async def test_request_without_a_host_is_refused() -> None:
    async with client(app()) as http:
        request = http.build_request("GET", "/item")
        del request.headers["Host"]
        answer = await http.send(request)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")

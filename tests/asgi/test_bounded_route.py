"""`BoundedRoute`: bodies that are too large, too slow, too deep or of another type are refused; right ones pass."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Form, Request
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect

from gridhaul.asgi.bounded_route import BoundedRoute, read_body
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.asgi.service import client, service

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    size: int = 0


def with_routes(app: FastAPI) -> FastAPI:
    router = APIRouter(prefix="/in", route_class=BoundedRoute)

    @router.post("/json")
    async def take_json(body: Item) -> Item:
        return body

    @router.post("/form")
    async def take_form(name: Annotated[str, Form()]) -> str:
        return name

    @router.post("/none")
    async def take_nothing() -> str:
        return "nothing"

    @router.put("/stream")
    async def take_stream(request: Request) -> int:
        return sum([len(part) async for part in request.stream()])

    app.include_router(router)
    return app


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with client(with_routes(service())) as asking:
        yield asking


def outcome(response: httpx2.Response) -> tuple[int, str | None]:
    return response.status_code, response.json()["code"] if response.is_error else None


async def in_parts(part: bytes, count: int, drawn: list[int]) -> AsyncIterator[bytes]:
    for number in range(count):
        drawn.append(number)
        yield part


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"]
)
async def test_json_is_taken(http: httpx2.AsyncClient, kind: str) -> None:
    response = await http.post("/in/json", content=b'{"name": "a"}', headers={"Content-Type": kind})
    assert response.json() == {"name": "a", "size": 0}


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", ";"]
)
async def test_json_under_another_name_is_refused_and_told_so(http: httpx2.AsyncClient, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = await http.post("/in/json", content=b'{"name": "a"}', headers=headers)
    assert outcome(response) == (415, "unsupported_media_type")
    assert "application/json" in response.json()["detail"]


@pytest.mark.parametrize("headers", [{}, JSON, {"Content-Type": "text/plain"}])
async def test_missing_body_is_an_invalid_value(http: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    assert outcome(await http.post("/in/json", headers=headers)) == (422, "invalid_value")


async def test_form_is_taken(http: httpx2.AsyncClient) -> None:
    assert (await http.post("/in/form", data={"name": "ä b"})).json() == "ä b"


@pytest.mark.parametrize("headers", [{}, JSON, {"Content-Type": "multipart/form-data; boundary=x"}])
async def test_what_is_no_form_is_refused(http: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    response = await http.post("/in/form", content=b'{"name": "a"}', headers=headers)
    assert outcome(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content", [b"%", b"%zz=%ff", b"\xff\xfe", b"=&;&=", b"&" * 5000, b"a=&" * 1001])
async def test_broken_form_is_a_refusal(http: httpx2.AsyncClient, content: bytes) -> None:
    assert (await http.post("/in/form", content=content, headers=FORM)).status_code in (400, 422)


async def test_route_without_a_body_does_not_care(http: httpx2.AsyncClient) -> None:
    response = await http.post("/in/none", content=b"x" * 200_000, headers={"Content-Type": "x/y"})
    assert response.json() == "nothing"


async def test_route_that_streams_keeps_its_own_limits(http: httpx2.AsyncClient) -> None:
    assert (await http.put("/in/stream", content=b"x" * 200_000)).json() == 200_000


@pytest.mark.parametrize(("path", "headers"), [("/in/json", JSON), ("/in/form", FORM)])
async def test_length_over_the_limit_is_refused_before_anything_is_read(
    http: httpx2.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    drawn: list[int] = []
    length = {"Content-Length": str(100 << 20)}
    response = await http.post(path, content=in_parts(b"x", 10, drawn), headers=headers | length)
    assert outcome(response) == (413, "payload_too_large")
    assert response.headers["connection"] == "close"


async def test_body_of_no_declared_length_is_refused_as_soon_as_it_is_too_large() -> None:
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b" " * 1000, "more_body": True}

    app = with_routes(service())
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/in/json", "query_string": b""}
    scope |= {"http_version": "1.1", "headers": [(b"host", b"service")]}
    await app(scope | {"scheme": "http", "server": ("service", 80)}, receive, send)
    assert sent[0]["status"] == 413
    assert taken == REQUEST_LIMITS.body_bytes // 1000 + 1


async def test_body_of_exactly_the_limit_is_taken(http: httpx2.AsyncClient) -> None:
    content = b'{"name": "a"}'.ljust(REQUEST_LIMITS.body_bytes)
    assert (await http.post("/in/json", content=content, headers=JSON)).status_code == 200
    assert (await http.post("/in/json", content=content + b" ", headers=JSON)).status_code == 413


async def test_body_that_stalls_is_a_timeout_and_ends_the_connection() -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with client(with_routes(service(request_limits=replace(REQUEST_LIMITS, stall_seconds=0.02)))) as http:
        response = await http.post("/in/json", content=stalling(), headers=JSON)
    assert outcome(response) == (408, "request_timeout")
    assert response.headers["connection"] == "close"


async def test_client_that_goes_in_the_middle_ends_the_request() -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.disconnect"},
        {"type": "http.request", "body": b"{", "more_body": True},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop()

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    with pytest.raises(ClientDisconnect):
        await read_body(request, max_bytes=100, within_seconds=30)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"[" * 50_000, 400),
        (b'{"a":' * 1000, 400),
        (b'{"name": NaN}', 400),
        (b'{"name": "a", "name": "b"}', 400),
        (b'{"name": "\xff"}', 400),
        (b'{"name": "a", "size": ' + b"9" * 5000 + b"}", 400),
        (b'{"name": "a", "size": 1e400}', 400),
        (b'{"name": "a", "size": 1e300}', 422),
        (b'{"name": "a", "size": 1.5}', 422),
        (b'{"name": "\\ud800"}', 422),
        (b'{"\\ud800": 1}', 422),
        (b'{"name": "a", "\\ud800": 1}', 422),
        (b'{"name": ["a"]}', 422),
        (b'{"name": {}}', 422),
        (b"[]", 422),
        (b"null", 422),
        (b'"{}"', 422),
    ],
)
async def test_wrong_json_is_the_clients_fault(http: httpx2.AsyncClient, content: bytes, status: int) -> None:
    response = await http.post("/in/json", content=content, headers=JSON)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_names_of_unknown_members_are_not_given_back(http: httpx2.AsyncClient) -> None:
    response = await http.post("/in/json", json={"name": "a", "<script>": 1})
    assert outcome(response) == (422, "invalid_value")
    assert "an unknown member of body" in response.json()["detail"]
    assert "script" not in response.text

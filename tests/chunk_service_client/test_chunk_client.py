"""`ChunkClient`: when it repeats a request itself, and when it leaves the repeat to a later attempt."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gridhaul.asgi import health
from gridhaul.chunk_service_client import chunk_client
from gridhaul.chunk_service_client.chunk_client import ChunkClient
from gridhaul.outgoing.http_client import make_client
from gridhaul.transfer.errors import ChunkServiceUnavailable, StorageFull
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.model import RecordId
from tests.servers.canned import canned_answer
from tests.servers.disturbances import Answer
from tests.servers.proxy import Proxy, proxying

GRANT = ContentGrant(content_id=RecordId("a" * 24), fence=1)
FULL = json.dumps({"status": 507, "code": "storage_full", "detail": "full"}).encode()
READY = '{"mongodb": "ok", "collections": "ok", "disk": "ok"}'


@pytest.fixture
def service() -> Iterator[Proxy]:
    """Yield a proxy in the place of the chunk service: it plays the answers that a test plans."""
    with proxying("127.0.0.1", 9) as proxy:
        yield proxy


async def ask(service: Proxy) -> bytes:
    async with make_client() as http:
        client = ChunkClient(http, base_url=service.url, secret="x" * 40)
        return await client.digests(GRANT, first=0, count=1)


async def test_busy_service_is_asked_again_no_sooner_than_it_says(service: Proxy) -> None:
    service.plan(Answer(status=503, headers={"Retry-After": "2"}))
    service.plan(Answer(status=200, headers={"Content-Type": "application/octet-stream"}, body=bytes(33)))
    assert await ask(service) == bytes(33)
    refused, again = service.requests
    assert again.at - refused.at >= 2


async def test_client_that_is_asked_to_wait_long_does_not_wait(service: Proxy) -> None:
    problem = {"Content-Type": "application/problem+json"}
    service.plan(Answer(status=507, headers=problem | {"Retry-After": "30"}, body=FULL), times=2)
    with pytest.raises(StorageFull) as caught:
        await ask(service)
    assert caught.value.retry_after_seconds == 30
    assert len(service.requests) == 1


async def check(url: str) -> None:
    async with make_client() as http:
        await ChunkClient(http, base_url=url, secret="x" * 40).check()


def readyz(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        ("503 Service Unavailable", READY.replace("ok", "database_unavailable", 1), ChunkServiceUnavailable),
        ("404 Not Found", "{}", ChunkServiceUnavailable),
        ("200 OK", READY.replace('"disk": "ok"', '"disk": "storage_full"'), StorageFull),
    ],
)
async def test_check_raises_the_error_that_keeps_files_from_being_stored(
    status: str, body: str, error: type[Exception]
) -> None:
    with canned_answer(readyz(status, body), reads_on=False) as url, pytest.raises(error):
        await check(url)


async def test_check_of_a_service_that_reports_no_full_disk_passes() -> None:
    with canned_answer(readyz("200 OK", READY), reads_on=False) as url:
        await check(url)


API_READY = '{"mongodb": "ok", "indexes": "ok", "redis": "ok", "chunk_service": "ok", "disk": "ok"}'


@pytest.mark.parametrize("body", [API_READY, "{}", "[]", "<h1>hello</h1>", ""])
async def test_check_of_something_that_is_no_chunk_service_fails(body: str) -> None:
    with (
        canned_answer(readyz("200 OK", body), reads_on=False) as url,
        pytest.raises(ChunkServiceUnavailable, match=r"status 200 .* GRIDHAUL_CHUNK_SERVICE_URL"),
    ):
        await check(url)


async def test_check_of_a_silent_service_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_client, "CHECK_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ChunkServiceUnavailable):
        await check(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_check_waits_longer_than_the_service_waits_for_its_database() -> None:
    assert chunk_client.CHECK_SECONDS > health.DATABASE_SECONDS


async def test_check_passes_if_the_service_closes_the_idle_connection_at_that_moment() -> None:
    """The server answers the first request of each connection, and closes at the second."""
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(READY)}\r\n\r\n{READY}".encode()
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, make_client() as http:
        client = ChunkClient(http, base_url=f"http://{host}:{port}", secret="x" * 40)
        for _ in range(4):
            await client.check()
    assert connections == 4


async def test_check_of_an_unreachable_service_fails() -> None:
    with pytest.raises(ChunkServiceUnavailable):
        await check("http://127.0.0.1:9")

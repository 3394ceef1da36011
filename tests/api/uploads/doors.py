"""Requests to the doors of uploads over HTTP, bodies that break off in them, and what is kept of an upload."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import uvicorn
from starlette.requests import ClientDisconnect
from uvicorn.server import ServerState

from gridhaul.asgi.http_protocol import BoundedHttp
from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.transfer.model import File, RecordId
from tests.api.service import Api
from tests.api.uploads.bodies import body_of
from tests.api.uploads.process import Process
from tests.contracts.bytes_to_store import segment
from tests.contracts.ports import eventually

TOKEN = "ab" * 16
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}


def address(file: File) -> str:
    """Return the path of an upload that was registered with `TOKEN`."""
    return f"/uploads/{file.id}{TOKEN}"


def broken_off(*parts: bytes) -> AsyncIterator[bytes]:
    """Return a body whose client leaves after these parts."""
    return body_of(parts, then=ClientDisconnect())


@asynccontextmanager
async def over_sockets(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield a client that reaches the service over sockets, through the HTTP/1.1 of its server."""
    config = uvicorn.Config(api.app, ws="none", lifespan="off", log_level="critical")
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedHttp(config, state, {}), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    headers = {"Authorization": api.http.headers["Authorization"]}
    async with server, httpx2.AsyncClient(base_url=f"http://{host}:{port}", headers=headers, trust_env=False) as http:
        yield http


async def require_unanswered(answer: Awaitable[httpx2.Response]) -> None:
    """Assert that the service sends no answer: the client has left, or its connection is closed."""
    with pytest.raises((AssertionError, ClientDisconnect, httpx2.TransportError)):
        await answer


def require(answer: httpx2.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def newest(api: Api, process: Process) -> File:
    """Return the file that was registered last. A client that left may have done so before the first was registered."""

    async def listed() -> Any:
        return (await api.http.get("/files", params={"limit": 1})).json()["files"]

    (file,) = await eventually(listed)
    return await process.file(RecordId(file["file_id"]))


async def hold(api: Api, file: File) -> int:
    """Take the parallel upload, and return its fence."""
    return int((await api.http.post(f"{address(file)}/hold")).json()["fence"])


async def put_chunks(api: Api, file: File, fence: int, data: bytes, first: int, count: int) -> httpx2.Response:
    part = segment(data, first, count)
    headers = {"Lease-Fence": str(fence), "Chunk-Digests": write_chunk_digests(part.digests)}
    return await api.http.put(f"{address(file)}/chunks/{first}", headers=headers, content=b"".join(part.chunks))

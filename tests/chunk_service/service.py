"""The chunk service within the event loop of a test: real routes over an intake, and the client that others use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from chunk_service.app import create_app
from chunk_service.dependencies import Service
from chunk_service.intake_limits import DiskReserve, memory_budget
from gridhaul.asgi import chain
from gridhaul.asgi.readiness import Readiness
from gridhaul.chunk_service_client.chunk_client import ChunkClient
from gridhaul.chunk_service_client.grants import sign
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.ports.contents import Intake
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.contracts.bytes_to_store import MIB

SECRET = "s" * 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    http: httpx2.AsyncClient
    client: ChunkClient

    async def put(
        self, grant: ContentGrant, path: str, body: bytes, *, digests: str | None, secret: str = SECRET
    ) -> httpx2.Response:
        """Send a PUT with the grant's token, and return the answer."""
        headers = {"Authorization": f"Bearer {sign(grant, secret=secret)}", "Lease-Fence": str(grant.fence)}
        if digests is not None:
            headers["Chunk-Digests"] = digests
        return await self.http.put(f"/contents/{grant.content_id}{path}", content=body, headers=headers)


@asynccontextmanager
async def serving_chunks(intake: Intake) -> AsyncIterator[Served]:
    """Serve the routes of the chunk service, with this intake behind them."""
    app, collections = create_app(), Readiness(_nothing)
    await collections.prepare()
    chain.start(app, REQUEST_LIMITS, cors_origins=())
    app.state.service = Service(
        intake=intake,
        secret=SECRET,
        memory=memory_budget(64 * MIB),
        disk=DiskReserve(intake.free_space, reserve_bytes=0),
        stall_seconds=30,
        collections=collections,
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://chunks") as http:
        yield Served(http=http, client=ChunkClient(http, base_url="http://chunks", secret=SECRET))


async def _nothing() -> None:
    pass

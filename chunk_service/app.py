"""Composition of the chunk service. Start: `uvicorn chunk_service.app:app`."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from chunk_service import bundles, routes
from chunk_service.dependencies import Service
from chunk_service.intake_limits import DiskReserve, memory_budget
from gridhaul import __version__
from gridhaul.asgi import chain, problems
from gridhaul.asgi.health import Health, database_check, health_routes
from gridhaul.asgi.readiness import Readiness
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.process.allocator import keep_freed_memory
from gridhaul.process.logging import configure_logging
from gridhaul.process.open_files import raise_open_file_limit
from gridhaul.process.settings import ChunkServiceSettings
from gridhaul.storage.connect import connect, ping
from gridhaul.storage.content.intake import MongoIntake
from gridhaul.storage.schema import make_payload_collections

ANSWERS = (401, 403, 422, 503)
# The number of messages to MongoDB at a time. MongoDB confirms another process's write only after its journal has taken
# what this service sent before, so with more messages under way every prepare waits longer (docs/adr/0010).
WRITES_AT_ONCE = 2


def create_app() -> FastAPI:
    app = FastAPI(
        title="Gridhaul chunk service",
        version=__version__,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    chain.install(app)
    for router in (routes.router, bundles.router):
        app.include_router(router, responses=problems.documented(*ANSWERS, *chain.ANSWERS))
    app.include_router(health_routes(lambda: app.state.health), responses=problems.documented(*chain.ANSWERS))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    keep_freed_memory()
    raise_open_file_limit()
    configure_logging()
    settings = ChunkServiceSettings()
    chain.start(app, RequestLimits.of(settings), cors_origins=())
    database = connect(settings.mongo_url.get_secret_value(), settings.database, at_once=WRITES_AT_ONCE)
    intake = MongoIntake(database, inline_limit_chunks=settings.inline_limit_chunks)
    collections = Readiness(lambda: make_payload_collections(database, block_compressor=settings.block_compressor))
    disk = DiskReserve(intake.free_space, reserve_bytes=settings.disk_reserve_bytes)
    app.state.service = Service(
        intake=intake,
        secret=settings.service_secret.get_secret_value(),
        memory=memory_budget(settings.intake_memory_bytes),
        disk=disk,
        stall_seconds=settings.stall_seconds,
        collections=collections,
    )
    needed = {"mongodb": database_check(lambda: ping(database)), "collections": collections.check}
    app.state.health = Health(needed=needed, others={"disk": database_check(disk.check)})
    preparing = asyncio.create_task(collections.prepare())
    gc.freeze()  # exempt the objects that live as long as the process from repeated scans by the garbage collector
    try:
        yield
    finally:
        preparing.cancel()
        await asyncio.gather(preparing, return_exceptions=True)
        await database.client.close()


app = create_app()

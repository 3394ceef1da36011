"""Composition of the api. Start: `uvicorn api.app:app`."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from api import accounts as account_routes
from api import batches as batch_routes
from api import checks as check_routes
from api import (
    chunk_map,
    content,
    counts,
    delete,
    deliveries,
    examples,
    files,
    finalize,
    keys,
    login,
    operations,
    prepare,
    system,
    target_activity,
)
from api import lists as list_routes
from api import roots as root_routes
from api import targets as target_routes
from api.authentication import Authentication
from api.authenticator import Authenticator
from api.batch_counts import BatchCounts
from api.configured_targets import ConfiguredTargets
from api.dependencies import Service
from api.dispatcher import Dispatcher
from api.download_limit import DownloadSlots
from api.events import routes as event_routes
from api.events.feed import EventFeed
from api.events.stream import Events
from api.events.stream_limit import StreamSlots
from api.list_limit import ListSlots
from api.method_override import MethodOverride
from api.obstacles import Obstacles
from api.open_file_limit import OpenFileLimit
from api.page import download_link, front_page, session
from api.parts import Parts
from api.password_attempts import PasswordAttempts
from api.rate_limits import RateLimits
from api.recent_counts import RecentCounts
from api.scheduler import Scheduler
from api.source_lookup import SourceLookup, look_threads
from api.uploads import one_request, upload_resource
from api.uploads.holding import Holdings
from api.uploads.memory import UploadMemory
from api.uploads.parallel import routes as parallel
from api.uploads.parallel.digests import ParallelDigests
from api.uploads.parts import UploadParts
from api.uploads.running_digests import RunningDigests
from gridhaul import __version__
from gridhaul.asgi import chain, documentation, openapi_examples, problems
from gridhaul.asgi.health import Health, database_check, health_routes
from gridhaul.asgi.readiness import Readiness
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.chunk_service_client.chunk_client import ChunkClient
from gridhaul.identity.passwords import Passwords
from gridhaul.outgoing.http_client import make_client
from gridhaul.outgoing.tls import tls_context
from gridhaul.process.allocator import keep_freed_memory
from gridhaul.process.logging import configure_logging
from gridhaul.process.open_files import raise_open_file_limit
from gridhaul.process.settings import ApiSettings
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.accounts.usage import MongoUsage
from gridhaul.storage.agenda import MongoAgenda, MongoDispatcherLease
from gridhaul.storage.batches.batches import MongoBatches
from gridhaul.storage.batches.lanes import MongoLanes
from gridhaul.storage.batches.lists import MongoLists
from gridhaul.storage.batches.members import MongoMembers
from gridhaul.storage.batches.skipped import MongoSkippedPaths
from gridhaul.storage.checking.checks import MongoChecks
from gridhaul.storage.checking.schedule import MongoSchedule
from gridhaul.storage.connect import Database, connect, ping
from gridhaul.storage.content.chunk_counting import MongoChunkCounting
from gridhaul.storage.content.contents import MongoContents
from gridhaul.storage.counting import MongoAccountCounting
from gridhaul.storage.deliveries import MongoDeliveries
from gridhaul.storage.events import MongoChanges
from gridhaul.storage.files import MongoFiles
from gridhaul.storage.heartbeats import MongoHeartbeatLookup
from gridhaul.storage.schema import make_registry_indexes
from gridhaul.storage.seen_targets import MongoSeenTargets
from gridhaul.storage.store_size import MongoStoreMeasuring
from gridhaul.storage.target_activity import MongoActivityCounting
from gridhaul.storage.uploads import MongoUploads
from gridhaul.targets.targets_file import target_definitions
from gridhaul.transfer.checks import CheckKind, Mode, NewCheck
from tasks.queue import Broker, HintSender

ANSWERS = (401, 403, 422, 429, 503)  # error statuses of every route that needs a token or key
DAY_SECONDS = 86400
DESCRIPTION = (
    "Gridhaul moves large files and proves that they arrived. "
    "Prepare a file, then finalize it, or ask for both in one request."
)


def create_app() -> FastAPI:
    app = FastAPI(
        title="Gridhaul",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    chain.install(app, MethodOverride, Authentication)
    documentation.install(app)
    front_page.install(app)
    openapi_examples.install(app, schemas=examples.SCHEMAS, parameters=examples.PARAMETERS, problems=examples.PROBLEMS)
    # Starlette tries one route after another, so the routes with the most requests are first.
    records = (prepare, files, content, finalize, deliveries, operations, delete, batch_routes, list_routes, counts)
    doors = (parallel, upload_resource, one_request)
    shown = (target_routes, target_activity, system)
    others = (root_routes, event_routes, check_routes, account_routes, keys, download_link)
    for part in (*records, chunk_map, *doors, *shown, *others):
        app.include_router(part.router, responses=problems.documented(*ANSWERS, *chain.ANSWERS))
    for part in (login, session):
        app.include_router(part.router, responses=problems.documented(422, 503, *chain.ANSWERS))
    app.include_router(health_routes(lambda: app.state.health), responses=problems.documented(*chain.ANSWERS))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    keep_freed_memory()
    raise_open_file_limit()
    configure_logging()
    settings = ApiSettings()
    chain.start(app, RequestLimits.of(settings), cors_origins=settings.cors_origins)
    database = connect(settings.mongo_url.get_secret_value(), settings.database)
    broker = Broker(settings.redis_url.get_secret_value())
    hints = HintSender(settings.redis_url.get_secret_value())
    checks = MongoChecks(database, lease_seconds=settings.lease_seconds)
    obstacles = Obstacles(MongoHeartbeatLookup(database), broker.check)
    client = make_client(settings.answer_seconds, tls=tls_context(settings.ca_file))
    chunks = ChunkClient(client, base_url=settings.chunk_service_url, secret=settings.service_secret.get_secret_value())
    service = _service(settings, database, hints, checks, obstacles, chunks)
    app.state.service = service
    needed = {"mongodb": database_check(lambda: ping(database)), "indexes": service.indexes.check}
    parts = Parts(obstacles)
    app.state.health = Health(needed=needed, others=parts.checks(), notes=parts.notes)
    background = [asyncio.create_task(loop) for loop in _loops(settings, database, broker, service, checks)]
    async with AsyncExitStack() as closing:
        closing.push_async_callback(database.client.close)
        closing.push_async_callback(client.aclose)
        closing.push_async_callback(broker.close)
        closing.push_async_callback(asyncio.to_thread, hints.close)
        # Exempt the objects that live as long as the process from garbage collection: the repeated scans of these
        # objects took as long as a small request.
        gc.freeze()
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)


def _service(
    settings: ApiSettings,
    database: Database,
    hints: HintSender,
    checks: MongoChecks,
    obstacles: Obstacles,
    chunks: ChunkClient,
) -> Service:
    """Build the parts that the routes use."""
    lease_seconds = settings.lease_seconds
    accounts = MongoAccounts(database)
    passwords = Passwords()
    rate_limits = RateLimits(
        requests_a_minute=settings.requests_a_minute, failed_logins_a_minute=settings.failed_logins_a_minute
    )
    files = MongoFiles(database, lease_seconds=lease_seconds)
    deliveries = MongoDeliveries(database, lease_seconds=lease_seconds, sweep_seconds=settings.sweep_seconds)
    batches = MongoBatches(database, lease_seconds=lease_seconds)
    members, skipped = MongoMembers(database, files, deliveries), MongoSkippedPaths(database)
    usage = MongoUsage(database, quota_bytes=settings.quota_bytes)
    changes, store_measuring = MongoChanges(database), MongoStoreMeasuring(database)
    seen_targets = MongoSeenTargets(database, lease_seconds=lease_seconds)
    counting, chunk_counting = MongoAccountCounting(database), MongoChunkCounting(database)
    targets = ConfiguredTargets(target_definitions(settings.targets_file), seen_targets)
    return Service(
        files=files,
        deliveries=deliveries,
        contents=MongoContents(database),
        checks=checks,
        batches=batches,
        lanes=MongoLanes(database),
        members=members,
        skipped=skipped,
        lists=MongoLists(database),
        list_slots=ListSlots(),
        batch_counts=BatchCounts(batches, members, skipped),
        max_open_batches=settings.max_open_batches,
        downloads=DownloadSlots(),
        events=Events(feed=EventFeed(changes, obstacles), replays=changes, slots=StreamSlots()),
        uploads=_uploads(settings, database, hints, usage, chunks),
        max_file_bytes=settings.max_file_bytes,
        hints=hints,
        obstacles=obstacles,
        indexes=Readiness(lambda: _make_ready(database, targets)),
        roots=settings.roots,
        sources=SourceLookup(look_threads(), max_file_bytes=settings.max_file_bytes),
        targets=targets,
        large_file_bytes=settings.large_file_bytes,
        max_open_files=settings.max_open_files,
        open_file_limit=OpenFileLimit(files),
        usage=usage,
        account_counts=RecentCounts(counting.of_account),
        type_counts=RecentCounts(counting.types_of_account),
        chunk_counts=RecentCounts(lambda key: chunk_counting.stored(*key), fresh_seconds=0.0),
        target_activity=RecentCounts(MongoActivityCounting(database).of_account),
        store_size=RecentCounts(lambda _: store_measuring.measure()),
        accounts=accounts,
        authenticator=Authenticator(
            accounts=accounts,
            secret=settings.service_secret.get_secret_value(),
            lifetime_seconds=settings.access_seconds,
            allow_demo=settings.allow_demo,
        ),
        passwords=passwords,
        password_attempts=PasswordAttempts(passwords, rate_limits),
        rate_limits=rate_limits,
        session_seconds=settings.session_days * DAY_SECONDS,
    )


async def _make_ready(database: Database, targets: ConfiguredTargets) -> None:
    """Make what requests rely on in the database."""
    await make_registry_indexes(database)
    await targets.configure()


def _uploads(
    settings: ApiSettings, database: Database, hints: HintSender, usage: MongoUsage, chunks: ChunkClient
) -> UploadParts:
    """Build the uploads' core."""
    lifetime_seconds = settings.upload_days * DAY_SECONDS
    records = MongoUploads(
        database,
        lease_seconds=settings.lease_seconds,
        lifetime_seconds=lifetime_seconds,
        finish_seconds=settings.sweep_seconds,  # then no request that a killed api had sent can still store chunks
    )
    contents = MongoContents(database, sweep_seconds=settings.sweep_seconds)
    memory = UploadMemory(settings.upload_memory_bytes)
    return UploadParts(
        registry=records,
        files=records,
        contents=contents,
        chunks=chunks,
        usage=usage,
        hints=hints,
        memory=memory,
        digests=RunningDigests(),
        parallel_digests=ParallelDigests(memory),
        holdings=Holdings(records, contents),
        max_file_bytes=settings.max_file_bytes,
        public_url=settings.public_url,
        late_seconds=settings.sweep_seconds,
        stall_seconds=settings.stall_seconds,
        lifetime_seconds=lifetime_seconds,
        offers_draft=settings.upload_draft,
    )


def _loops(
    settings: ApiSettings, database: Database, broker: Broker, service: Service, checks: MongoChecks
) -> tuple[Coroutine[Any, Any, None], ...]:
    """Return the coroutines that run in the background beside the requests."""
    holder = f"{socket.gethostname()}:{os.getpid()}"
    dispatcher = Dispatcher(
        lease=MongoDispatcherLease(database, holder=holder, lease_seconds=settings.lease_seconds),
        agenda=MongoAgenda(database),
        broker=broker,
        hints=service.hints,
        every_seconds=settings.dispatch_seconds,
    )
    schedule = MongoSchedule(database, checks, _periods(settings))
    scheduler = Scheduler(schedule, service.hints, every_seconds=settings.dispatch_seconds)
    watch = service.uploads.holdings.watch()
    return service.indexes.prepare(), dispatcher.run(), scheduler.run(), service.obstacles.run(), watch


def _periods(settings: ApiSettings) -> dict[NewCheck, float]:
    """Return the checks that start by themselves, each with the seconds from one start to the next."""
    periods: dict[NewCheck, float] = {}
    if settings.gc_seconds:
        periods[NewCheck(kind=CheckKind.GC, mode=Mode.REPAIR)] = settings.gc_seconds
    if rate := settings.scrub_bytes_per_second:
        scrub = NewCheck(kind=CheckKind.SCRUB, mode=Mode.REPORT, bytes_per_second=rate)
        periods[scrub] = settings.scrub_days * DAY_SECONDS
    return periods


app = create_app()

"""The api within the test's own event loop: real routes over the ports that a test passes; hints are only collected."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx2
from fastapi import FastAPI

from api.app import create_app
from api.authenticator import Authenticator
from api.batch_counts import BatchCounts
from api.configured_targets import ConfiguredTargets
from api.dependencies import Service
from api.download_limit import DownloadSlots
from api.events.feed import EventFeed
from api.events.stream import Events
from api.events.stream_limit import StreamSlots
from api.list_limit import ListSlots
from api.obstacles import Obstacles
from api.open_file_limit import OpenFileLimit
from api.parts import Parts
from api.password_attempts import PasswordAttempts
from api.rate_limits import RateLimits
from api.recent_counts import RecentCounts
from api.source_lookup import SourceLookup, look_threads
from api.uploads.parts import UploadParts
from gridhaul.asgi import chain
from gridhaul.asgi.health import Health
from gridhaul.asgi.readiness import Readiness
from gridhaul.identity.passwords import Passwords
from gridhaul.process.bounded_threads import BoundedThreads
from gridhaul.transfer.access import Account, Caller, Scope
from gridhaul.transfer.broker_health import BrokerContents
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.errors import Unauthorized
from gridhaul.transfer.known_targets import TargetDefinition
from gridhaul.transfer.model import Hint, RecordId
from gridhaul.transfer.ports.accounts import AccountLookup, Accounts
from tests.api.uploads.process import new_process
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.contracts.ports import Ports
from tests.noted_hints import NotedHints

TOKEN = "t" * 32
SECRET = "s" * 32
LIFETIME_SECONDS = 60
TARGETS = tuple(
    TargetDefinition(name=name, kind="webdav", fingerprint=fingerprint("webdav", name), allow_overwrite_race=False)
    for name in ("archive", "mirror")
)
NO_RATES = RateLimits(requests_a_minute=0, failed_logins_a_minute=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Api:
    app: FastAPI
    http: httpx2.AsyncClient
    hints: list[Hint]
    obstacles: Obstacles

    def hinted(self) -> list[tuple[str, str]]:
        return [(hint.task.value, hint.record_id) for hint in self.hints]


class _OperatorOnly(Authenticator):
    """A stand-in for the authenticator: it knows one token, the operator's, who has every scope."""

    async def caller(self, token: str) -> Caller:
        if token != TOKEN:
            raise Unauthorized("Another token than the operator's.")
        now = datetime.now(UTC)
        account = Account(
            id=RecordId("0" * 24), username="operator", scopes=tuple(Scope), created_at=now, updated_at=now
        )
        return Caller(account=account, scopes=frozenset(Scope))


def authenticator(accounts: AccountLookup) -> Authenticator:
    return Authenticator(accounts=accounts, secret=SECRET, lifetime_seconds=LIFETIME_SECONDS, allow_demo=False)


async def _nothing() -> None:
    pass


async def _nothing_foreign() -> BrokerContents:
    return BrokerContents(taken=frozenset(), foreign_messages=0)


@asynccontextmanager
async def serving(
    ports: Ports,
    *,
    root: Path = Path("/srv"),
    accounts: Accounts | None = None,
    rate_limits: RateLimits = NO_RATES,
    max_open_files: int = 1000,
    max_open_batches: int = 100,
    threads: BoundedThreads | None = None,
    fresh_seconds: float = 0.0,
    check_broker: Callable[[], Awaitable[BrokerContents]] = _nothing_foreign,
    uploads: UploadParts | None = None,
) -> AsyncIterator[Api]:
    """Serve the api over these ports, with the targets `archive` and `mirror`.

    Without `accounts`, the only caller is an operator with every scope, whose token `http` sends.
    """
    app, hints, ready = create_app(), list[Hint](), Readiness(_nothing)
    passwords = Passwords()
    await ready.prepare()
    obstacles = Obstacles(ports.heartbeat_lookup, check_broker)
    parts = Parts(obstacles)
    app.state.health = Health(needed={"indexes": ready.check}, others=parts.checks(), notes=parts.notes)
    chain.start(app, REQUEST_LIMITS, cors_origins=())
    app.state.service = Service(
        files=ports.files,
        deliveries=ports.deliveries,
        contents=ports.contents,
        checks=ports.checks,
        batches=ports.batches,
        lanes=ports.lanes,
        members=ports.members,
        skipped=ports.skipped,
        lists=ports.lists,
        list_slots=ListSlots(),
        batch_counts=BatchCounts(ports.batches, ports.members, ports.skipped),
        max_open_batches=max_open_batches,
        downloads=DownloadSlots(),
        events=Events(feed=EventFeed(ports.changes, obstacles), replays=ports.changes, slots=StreamSlots()),
        uploads=uploads or replace(new_process(ports).parts, hints=NotedHints(hints)),
        max_file_bytes=None,
        hints=NotedHints(hints),
        obstacles=obstacles,
        indexes=ready,
        roots=(root,),
        sources=SourceLookup(threads or look_threads(), max_file_bytes=None),
        targets=ConfiguredTargets(TARGETS, ports.seen_targets, fresh_seconds=fresh_seconds),
        large_file_bytes=100,
        max_open_files=max_open_files,
        open_file_limit=OpenFileLimit(ports.files),
        usage=ports.usage_with(None),
        account_counts=RecentCounts(ports.account_counting.of_account, fresh_seconds=fresh_seconds),
        type_counts=RecentCounts(ports.account_counting.types_of_account, fresh_seconds=fresh_seconds),
        chunk_counts=RecentCounts(lambda key: ports.chunk_counting.stored(*key), fresh_seconds=0.0),
        target_activity=RecentCounts(ports.activity_counting.of_account, fresh_seconds=fresh_seconds),
        store_size=RecentCounts(lambda _: ports.store_measuring.measure(), fresh_seconds=fresh_seconds),
        accounts=accounts or ports.accounts,
        authenticator=authenticator(accounts)
        if accounts
        else _OperatorOnly(accounts=ports.accounts, secret=SECRET, lifetime_seconds=LIFETIME_SECONDS, allow_demo=False),
        passwords=passwords,
        password_attempts=PasswordAttempts(passwords, rate_limits),
        rate_limits=rate_limits,
        session_seconds=60,
    )
    transport = httpx2.ASGITransport(app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://api", headers=headers) as http:
        yield Api(app=app, http=http, hints=hints, obstacles=obstacles)

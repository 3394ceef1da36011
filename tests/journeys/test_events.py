"""Streams of events under load: many listeners that reconnect, api processes that are killed, and thousands of changes.

`EVENTS_CHANGES=10000` makes the long run, which takes some minutes.
"""

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from gridhaul.embedded.network import free_ports
from gridhaul.embedded.system import System
from gridhaul.process.open_files import raise_open_file_limit
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.checking.objects import MongoObjects
from gridhaul.storage.connect import Database, connect
from gridhaul.storage.schema import make_registry_indexes
from gridhaul.transfer.access import ApiKey, NewAccount, Scope
from gridhaul.transfer.batches import BATCH_MOVES
from gridhaul.transfer.credentials import Credential, CredentialKind
from gridhaul.transfer.model import Failure, RecordId
from gridhaul.transfer.states import DELIVERABLE, FILE_MOVES, STORABLE, Action, DeliveryState, FileState
from tests.contracts.ports import (
    SHA256,
    Ports,
    destination,
    mongo_ports,
    new_batch,
    new_delivery,
    new_file,
    new_member,
)
from tests.journeys.processes import ready, settings_of, started

CHANGES = int(os.environ.get("EVENTS_CHANGES", "2000"))
CHANGES_A_SECOND = 100  # about as many as two cores allow beside the listeners
LISTENERS = 50
KILLS_LEAST = 3
IDLE_LISTENERS = 1000
IDLE_SECONDS = float(os.environ.get("EVENTS_IDLE_SECONDS", "10"))
OWNERS = ("alice", "bob")
ADMIN = "root"
GONE = Failure(code="object_missing", detail="No object is under the name.")
KINDS = {"file": "files", "delivery": "deliveries", "batch": "batches"}

View = tuple[str, str | None]  # the state of a record, and the code of its object error


class Api:
    """An api process on a port of its own, which can be killed and started again."""

    def __init__(self, settings: dict[str, str], log: Path) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = settings
        self._log = log
        self._running = ExitStack()

    def start(self) -> None:
        command = ("uvicorn", "api.app:app", "--port", str(self.port), "--no-access-log")
        http = {"UVICORN_HTTP": "gridhaul.asgi.http_protocol:BoundedHttp"}
        self.process = self._running.enter_context(started(command, self._settings | http, self._log))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self._running.close()

    @property
    def memory_mib(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / (1 << 20)

    @property
    def cpu_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)


@dataclass(frozen=True, kw_only=True)
class World:
    """A database of its own beside that of the system, whose workers therefore touch nothing in it."""

    database: Database
    ports: Ports
    keys: dict[str, str]
    apis: list[Api]


@pytest.fixture
async def world(system: System, tmp_path: Path) -> AsyncIterator[World]:
    system.wait_ready(timeout_seconds=30)
    name = f"events-{tmp_path.name}"
    database = connect(system.mongo_url, name)
    await make_registry_indexes(database)
    keys = {username: await _account(MongoAccounts(database), username) for username in (*OWNERS, ADMIN)}
    settings = settings_of(system) | {"GRIDHAUL_DATABASE": name, "GRIDHAUL_REQUESTS_A_MINUTE": "0"}
    apis = [Api(settings, tmp_path / f"api-{n}.log") for n in range(3)]
    try:
        for api in apis:
            api.start()
        for api in apis:
            await _ready(api)
        yield World(database=database, ports=mongo_ports(database, lease_seconds=60), keys=keys, apis=apis)
    finally:
        for api in apis:
            api.stop()
        await database.client.drop_database(name)
        await database.client.close()


async def _account(accounts: MongoAccounts, username: str) -> str:
    """Make an account, and return an API key of it."""
    scopes = tuple(Scope) if username == ADMIN else (Scope.READ,)
    account = await accounts.create(NewAccount(username=username, scopes=scopes))
    made = Credential.new(CredentialKind.API_KEY)
    key = ApiKey(id=made.id, name="k", digest=made.digest, scopes=scopes, created_at=datetime.now(UTC))
    await accounts.add_key(account, key)
    return made.text


async def _until(question: Callable[[], Awaitable[bool]], *, seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await question():  # noqa: ASYNC110 - no event tells of another process
            await asyncio.sleep(0.05)


async def _ready(api: Api) -> None:
    await _until(partial(asyncio.to_thread, ready, api.url))


@dataclass
class Follower:
    """A client that follows one account, and loses its connection again and again."""

    owner: str
    key: str
    apis: Sequence[Api]
    known: dict[tuple[str, str], View] = field(default_factory=dict)
    last_id: str | None = None
    connections: int = 0
    events: int = 0

    async def follow(self, stays: Callable[[], float]) -> None:
        """Follow for ever. Each connection ends by itself, or after the seconds that `stays` returns."""
        limits = httpx2.Limits(max_keepalive_connections=0)
        async with httpx2.AsyncClient(timeout=30, limits=limits, trust_env=False) as http:
            while True:
                try:
                    async with asyncio.timeout(stays()):
                        await self._connection(http, random.choice(self.apis).url)
                except (httpx2.TransportError, TimeoutError):
                    await asyncio.sleep(random.uniform(0.05, 0.3))

    async def _connection(self, http: httpx2.AsyncClient, url: str) -> None:
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Last-Event-ID": self.last_id} if self.last_id else {})
        async with http.stream("GET", f"{url}/events", headers=headers) as response:
            if response.status_code == 503:  # the api has just started, and makes sure of its indexes
                return
            assert response.status_code == 200, await response.aread()
            self.connections += 1
            async for event in httpx2.EventSource(response):
                if event.event in KINDS:
                    self.events += 1
                    self.last_id = event.id
                    self._note(event.event, json.loads(event.data))

    def _note(self, kind: str, record: dict[str, Any]) -> None:
        lost = record.get("object_error")
        self.known[kind, record[f"{kind}_id"]] = record["state"], lost and lost["code"]


class Work:
    """Changes of many records by all kinds of writes, also of many records in one write."""

    def __init__(self, world: World, owner: str) -> None:
        self._ports = world.ports
        self._objects = MongoObjects(world.database, sweep_seconds=60)
        self._files = world.database["files"]
        self._owner = owner
        self._rounds = 0

    async def some(self) -> int:
        """Take some records from their beginning to an end, and return how often any record changed its state."""
        self._rounds += 1
        turns = (self._alone, self._bundle, self._batch)
        return await turns[self._rounds % len(turns)]()

    async def _alone(self) -> int:
        file, _ = await self._ports.files.register(replace(new_file(name=f"{self._rounds}"), owner=self._owner))
        await self._ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
        await self._ports.files.move(file.id, FILE_MOVES[Action.RESUME])
        taken = await self._ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
        assert taken is not None
        await self._ports.files.renew(taken.lease, stored_bytes=3)
        await self._ports.files.finish(taken.lease, FileState.STORED, sha256=SHA256)
        return 5 + await self._delivery(file.id)

    async def _delivery(self, file_id: RecordId) -> int:
        new = replace(new_delivery(destination(object_name=file_id), file_id=file_id), owner=self._owner)
        await self._ports.deliveries.open(new)
        taken = await self._ports.deliveries.claim(
            new.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
        )
        assert taken is not None
        await self._ports.deliveries.finish(taken.lease, DeliveryState.DELIVERED)
        found = await self._ports.deliveries.get(new.id)
        assert found is not None
        assert await self._objects.note_object(found, GONE)
        return 4

    async def _bundle(self) -> int:
        new = [replace(new_member(f"{self._owner}/{self._rounds}/{n}"), owner=self._owner) for n in range(20)]
        assert not any(await self._ports.members.insert(new))
        wanted = self._files.find({"name": {"$in": [one.name for one in new]}}, {"_id": 1})
        files = [RecordId(str(one["_id"])) async for one in wanted]
        contents = {file_id: self._ports.contents.new_id() for file_id in files}
        taken = await self._ports.files.claim_new(contents, holder="w")
        await self._ports.files.finish_all({one.lease: {"sha256": SHA256} for one in taken}, FileState.STORED)
        deliveries = [
            replace(new_delivery(destination(object_name=file_id), file_id=file_id), owner=self._owner)
            for file_id in files[:10]
        ]
        await self._ports.deliveries.make_all(deliveries)
        claimed = await self._ports.deliveries.claim_plain([one.id for one in deliveries], holder="w")
        await self._ports.deliveries.finish_all({one.lease: {} for one in claimed}, DeliveryState.DELIVERED)
        return 3 * len(files) + 3 * len(deliveries)

    async def _batch(self) -> int:
        batch, _ = await self._ports.batches.register(new_batch(owner=self._owner))
        new = [replace(new_member(f"{n}", batch_id=batch.id), owner=self._owner) for n in range(20)]
        assert not any(await self._ports.members.insert(new))
        moved = 0
        for action in (Action.PAUSE, Action.RESUME, Action.CANCEL):
            await self._ports.batches.move(batch.id, BATCH_MOVES[action])
            moved += await self._ports.members.follow(batch.id, action, who=None, limit=1000)
        return 1 + 3 + len(new) + moved


async def _registry(database: Database, owner: str) -> dict[tuple[str, str], View]:
    """Return the state of every record that the owner, or an admin, may see."""
    wanted = {} if owner == ADMIN else {"owner": owner}
    found: dict[tuple[str, str], View] = {}
    for kind, name in KINDS.items():
        async for one in database[name].find(wanted, {"state": 1, "object_error.code": 1}):
            lost = one.get("object_error")
            found[kind, str(one["_id"])] = one["state"], lost and lost["code"]
    return found


async def _kill_again_and_again(apis: Sequence[Api], kills: list[Api]) -> None:
    """Kill one of the api processes every few seconds, and start it again."""
    while True:
        await asyncio.sleep(random.uniform(1, 4))
        api = random.choice(apis)
        api.kill()
        kills.append(api)
        await asyncio.sleep(random.uniform(0, 0.5))
        api.start()
        await _ready(api)


@pytest.mark.timeout(180 + CHANGES / 20)
async def test_each_listener_ends_with_the_states_of_the_registry(
    world: World,
) -> None:
    steady = world.apis[0]
    owners = [*OWNERS * (LISTENERS * 2 // 5), *[ADMIN] * (LISTENERS // 5)]
    followers = [Follower(owner=owner, key=world.keys[owner], apis=world.apis) for owner in owners]
    loop, kills = asyncio.get_running_loop(), list[Api]()
    memory = list[float]()
    ends = asyncio.Event()
    tasks = [
        loop.create_task(one.follow(lambda: 1000 if ends.is_set() else random.uniform(1, 12))) for one in followers
    ]
    chaos = loop.create_task(_kill_again_and_again(world.apis[1:], kills))
    works, changes, began = [Work(world, owner) for owner in OWNERS], 0, loop.time()
    while changes < CHANGES or len(kills) < KILLS_LEAST:
        changes += sum(await asyncio.gather(*(work.some() for work in works)))
        memory.append(steady.memory_mib)
        await asyncio.sleep(max(0.0, began + changes / CHANGES_A_SECOND - loop.time()))
    chaos.cancel()
    ends.set()
    registry = {owner: await _registry(world.database, owner) for owner in (*OWNERS, ADMIN)}
    try:
        with suppress(TimeoutError):
            await _until(lambda: _agree(followers, registry, tasks), seconds=60)
        for one in followers:
            assert not set(registry[one.owner].items()) ^ set(one.known.items()), one.connections
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, chaos, return_exceptions=True)
    quarter = memory[len(memory) // 4]
    figures = {
        "changes": changes,
        "seconds": round(loop.time() - began),
        "records": len(registry[ADMIN]),
        "kills": len(kills),
        "connections": sum(one.connections for one in followers),
        "events": sum(one.events for one in followers),
        "memory_mib": f"{quarter:.0f} after a quarter, {max(memory):.0f} most, {steady.memory_mib:.0f} at the end",
    }
    print(figures)  # noqa: T201
    assert sum(one.connections for one in followers) > 2 * LISTENERS
    assert max(memory) < quarter + 48, figures


async def _agree(
    followers: Sequence[Follower],
    registry: dict[str, dict[tuple[str, str], View]],
    tasks: Sequence[asyncio.Task[None]],
) -> bool:
    """Return whether each follower knows exactly the records that it may see, in their states."""
    for task in tasks:
        if task.done():
            task.result()
    return all(one.known == registry[one.owner] for one in followers)


@pytest.mark.alone
@pytest.mark.timeout(240)
async def test_a_thousand_idle_listeners_cost_little(world: World) -> None:
    raise_open_file_limit()
    api = world.apis[0]
    for other in world.apis[1:]:
        other.kill()
    before = await _cpu_share(api)
    memory = api.memory_mib
    listeners = [await _listener(api, world.keys["alice"]) for _ in range(IDLE_LISTENERS)]
    share = await _cpu_share(api)
    figures = {
        "idle_cpu_share": f"{share:.4f} of a core with {IDLE_LISTENERS} listeners, {before:.4f} without",
        "memory_mib": f"{memory:.0f} before, {api.memory_mib:.0f} with listeners",
    }
    print(figures)  # noqa: T201
    for _, writer in listeners:
        writer.close()
    assert share - before < 0.05, figures
    assert api.memory_mib - memory < 150, figures


async def _listener(api: Api, key: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a stream, and return its connection once the stream has begun."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(f"GET /events HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
    assert (await reader.readuntil(b"retry: ")).startswith(b"HTTP/1.1 200")
    return reader, writer


async def test_api_with_open_streams_stops_at_once_and_ends_them(world: World) -> None:
    api = world.apis[0]
    listeners = [await _listener(api, world.keys["alice"]) for _ in range(20)]
    api.process.terminate()
    ends = [await asyncio.wait_for(reader.read(), 5) for reader, _ in listeners]
    assert all(end.endswith(b"0\r\n\r\n") for end in ends)
    assert await asyncio.to_thread(api.process.wait, 5) == -signal.SIGTERM
    for _, writer in listeners:
        writer.close()


async def _cpu_share(api: Api) -> float:
    """Return the share of a core that the api takes while nothing happens."""
    await asyncio.sleep(1)  # what began before has ended
    began = api.cpu_seconds
    await asyncio.sleep(IDLE_SECONDS)
    return (api.cpu_seconds - began) / IDLE_SECONDS

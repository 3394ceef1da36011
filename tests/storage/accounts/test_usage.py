"""The bytes of an account's files are summed from an index alone, and set right only while nothing changes them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from gridhaul.storage.accounts.usage import MongoRecounts, MongoUsage
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.errors import QuotaExceeded
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.ports.accounts import AccountUsage
from gridhaul.transfer.ports.checking import Recount
from gridhaul.transfer.states import BYTES_GONE, FILE_MOVES, Action, FileState
from tests.contracts.ports import Ports, claimed, mongo_ports, new_file, registered

QUIET_SECONDS = 60.0
LONG_AGO = datetime.now(UTC) - timedelta(seconds=3 * QUIET_SECONDS)


@pytest.fixture
def ports(database: Database) -> Ports:
    return mongo_ports(database, lease_seconds=60)


@pytest.fixture
def recounts(database: Database) -> MongoRecounts:
    return MongoRecounts(database, quiet_seconds=QUIET_SECONDS)


async def _account(ports: Ports, username: str, *lengths: int) -> None:
    await ports.accounts.create(NewAccount(username=username, scopes=()))
    for length in lengths:
        await registered(ports, replace(new_file(length=length), owner=username))


async def _set(database: Database, username: str, **fields: Any) -> None:
    await database["auth"].update_one({"username": username}, {"$set": fields})


async def _used(ports: Ports, username: str) -> int:
    account = await ports.accounts.named(username)
    assert account is not None
    return account.used_bytes


async def _next(recounts: MongoRecounts, after: str = "") -> Recount:
    found = await recounts.next(after=after)
    assert found is not None
    return found


async def test_every_file_whose_bytes_are_not_gone_counts_whatever_its_state(
    ports: Ports, recounts: MongoRecounts, database: Database
) -> None:
    await _account(ports, "alice", *(1 << at for at in range(len(FileState))))
    await _account(ports, "bob", 1000)
    for length, state in enumerate(FileState):
        await database["files"].update_one({"length": 1 << length}, {"$set": {"state": state.value}})
    gone = sum(1 << list(FileState).index(state) for state in BYTES_GONE)
    alice = await _next(recounts)
    assert (alice.owner, alice.used_bytes) == ("alice", 0)
    assert alice.counted_bytes == (1 << len(FileState)) - 1 - gone
    bob = await _next(recounts, alice.owner)
    assert (bob.owner, bob.counted_bytes) == ("bob", 1000)
    assert await recounts.next(after=bob.owner) is None


@pytest.mark.parametrize("counted", [0, 4, 2**40])
async def test_wrong_count_is_set_right(
    ports: Ports, recounts: MongoRecounts, database: Database, counted: int
) -> None:
    await _account(ports, "alice", 5, 7)
    await _set(database, "alice", used_bytes=counted, charged_at=LONG_AGO)
    assert await recounts.set_right(await _next(recounts))
    assert await _used(ports, "alice") == 12
    again = await _next(recounts)
    assert again.counted_bytes == again.used_bytes


CHANGES: dict[str, Callable[[AccountUsage], Awaitable[None]]] = {
    "charge": lambda usage: usage.charge("alice", 0),
    "announce": lambda usage: usage.announce("alice"),
    "release": lambda usage: usage.release("alice", 1),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_count_that_changed_since_is_left_alone(
    ports: Ports, recounts: MongoRecounts, database: Database, change: str
) -> None:
    await _account(ports, "alice", 5)
    await _set(database, "alice", used_bytes=100, charged_at=LONG_AGO)
    found = await _next(recounts)
    await CHANGES[change](ports.usage_with(None))
    assert not await recounts.set_right(found)
    assert await _used(ports, "alice") == (99 if change == "release" else 100)


@pytest.mark.parametrize("change", ["charge", "announce"])
async def test_account_is_passed_over_while_a_charge_or_release_may_be_under_way(
    ports: Ports, recounts: MongoRecounts, database: Database, change: str
) -> None:
    await _account(ports, "alice", 5)
    await CHANGES[change](ports.usage_with(None))
    assert await recounts.next(after="") is None
    await _set(database, "alice", charged_at=LONG_AGO)
    assert (await _next(recounts)).owner == "alice"


async def test_charges_at_once_are_one_write(ports: Ports, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await _account(ports, "alice")
    usage = MongoUsage(database, quota_bytes=1000)
    writes, write = list[Any](), usage._accounts.update_one

    async def noted(*arguments: Any) -> Any:
        writes.append(arguments)
        return await write(*arguments)

    monkeypatch.setattr(usage._accounts, "update_one", noted)
    await asyncio.gather(*(usage.charge("alice", 10) for _ in range(20)))
    assert (len(writes), await _used(ports, "alice")) == (1, 200)


@pytest.fixture
async def yielding(database: Database) -> AsyncIterator[None]:
    """Make MongoDB let writes pass between any two index keys that it reads."""
    usual = await database.client.admin.command("setParameter", 1, internalQueryExecYieldIterations=1)
    yield
    await database.client.admin.command("setParameter", 1, internalQueryExecYieldIterations=usual["was"])


async def test_sum_misses_no_file_whose_state_changes_meanwhile(
    ports: Ports, recounts: MongoRecounts, yielding: None
) -> None:
    await _account(ports, "alice", *(1 for _ in range(300)))
    files = await ports.files.page(Selection(owner="alice"), limit=1000, after=None)

    async def stored() -> None:
        for file in files:
            taken = await claimed(ports, file)
            await ports.files.finish(taken.lease, FileState.STORED)

    moving = asyncio.create_task(stored())
    while not moving.done():
        assert await recounts._sum("alice") >= len(files)
    await moving
    assert await recounts._sum("alice") == len(files)


async def _plans(database: Database, command: str) -> list[dict[str, Any]]:
    await database.command("profile", 0)
    wanted = {"ns": f"{database.name}.files", "op": "command", f"command.{command}": {"$exists": True}}
    return [one async for one in database["system.profile"].find(wanted)]


async def test_neither_the_sum_nor_the_open_files_load_a_document(
    ports: Ports, recounts: MongoRecounts, database: Database
) -> None:
    await _account(ports, "alice", 5, 7)
    paused = await registered(ports, replace(new_file(), owner="alice"))
    await ports.files.move(paused.id, FILE_MOVES[Action.PAUSE])
    await database.command("profile", 2)
    assert await recounts._sum("alice") == 17
    assert await ports.files.count_open("alice", limit=2) == 2
    plans = await _plans(database, "aggregate")
    assert len(plans) == 2
    for plan in plans:
        assert plan["planSummary"].startswith("IXSCAN"), plan["planSummary"]
        assert plan["docsExamined"] == 0, plan
        assert plan["keysExamined"] <= 5, plan


async def test_charge_of_an_account_keeps_the_rest_of_it(ports: Ports, database: Database) -> None:
    await _account(ports, "alice")
    before = await ports.accounts.named("alice")
    assert before is not None
    await ports.usage_with(None).charge("alice", 5)
    assert await ports.accounts.named("alice") == replace(before, used_bytes=5)
    document = await database["auth"].find_one({"_id": ObjectId(before.id)})
    assert document is not None
    assert document["charged_at"] >= before.created_at


async def test_account_from_before_its_bytes_were_counted_begins_with_none(
    ports: Ports, recounts: MongoRecounts, database: Database
) -> None:
    await _account(ports, "alice", 3)
    await database["auth"].update_one({"username": "alice"}, {"$unset": {"used_bytes": "", "quota_bytes": ""}})
    assert await recounts.set_right(await _next(recounts))
    assert await _used(ports, "alice") == 3
    await database["auth"].update_one({"username": "alice"}, {"$unset": {"used_bytes": ""}})
    await ports.usage_with(None).charge("alice", 5)
    assert await _used(ports, "alice") == 5
    with pytest.raises(QuotaExceeded, match="5 are used"):
        await ports.usage_with(5).charge("alice", 1)

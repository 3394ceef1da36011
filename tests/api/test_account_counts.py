"""Counts of accounts: shared by requests at the same moment, and kept for a while."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from api.recent_counts import RecentCounts
from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.listing import AccountCounts
from tests.api.house import House, bearer
from tests.api.service import Api
from tests.contracts.ports import Ports, destination, eventually, new_delivery, new_file, registered


@dataclass
class HeldCounting:
    """Counting that takes until it is let go. It notes which accounts it has counted."""

    error: bool = False
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    counted: list[str] = field(default_factory=list)

    async def of_account(self, owner: str) -> AccountCounts:
        self.counted.append(owner)
        await self.go_on.wait()
        if self.error:
            raise DatabaseUnavailable("The database does not answer as it should; try again.")
        return AccountCounts(files={}, deliveries={}, counted_at=datetime.now(UTC))


async def test_requests_at_the_same_moment_share_one_count_and_later_ones_too() -> None:
    counting = HeldCounting()
    counts = RecentCounts(counting.of_account, fresh_seconds=60)
    waiting = [asyncio.create_task(counts.of("alice", account="alice")) for _ in range(5)]
    await asyncio.sleep(0)
    counting.go_on.set()
    first, *others = await asyncio.gather(*waiting)
    assert [*others, await counts.of("alice", account="alice")] == [first] * 5
    assert counting.counted == ["alice"]
    await counts.of("bob", account="bob")
    assert counting.counted == ["alice", "bob"]


async def test_accounts_take_turns_however_much_one_of_them_asks_for() -> None:
    order: list[str] = []

    async def count(key: str) -> str:
        order.append(key)
        await asyncio.sleep(0)
        return key

    counts = RecentCounts(count)
    alice = [asyncio.create_task(counts.of(f"alice's {n}", account="alice")) for n in range(9)]
    await asyncio.sleep(0)
    await counts.of("bob's", account="bob")
    assert order.index("bob's") <= 2  # after the count of alice that ran, and the one that waited already
    await asyncio.gather(*alice)


async def test_counts_that_are_too_old_are_made_afresh() -> None:
    counting = HeldCounting()
    counting.go_on.set()
    counts = RecentCounts(counting.of_account, fresh_seconds=0)
    first = await counts.of("alice", account="alice")

    async def made_afresh() -> bool:
        return await counts.of("alice", account="alice") is not first

    assert await eventually(made_afresh)
    assert counting.counted == ["alice", "alice"]


async def test_count_that_failed_is_not_repeated_by_those_that_waited_for_it() -> None:
    counting = HeldCounting(error=True)
    counts = RecentCounts(counting.of_account, fresh_seconds=60)
    waiting = [asyncio.create_task(counts.of("alice", account="alice")) for _ in range(5)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.05, counting.go_on.set)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 5
    assert counting.counted == ["alice"]
    with pytest.raises(DatabaseUnavailable):
        await counts.of("alice", account="alice")


async def test_counts_show_records_and_bytes_by_type_and_state(api: Api, ports: Ports) -> None:
    for length in (7, 8):
        await registered(ports, new_file(length=length))
    await ports.deliveries.open(new_delivery(destination()))
    shown = (await api.http.get("/counts")).json()
    assert shown.pop("counted_at").endswith("Z")
    assert shown == {
        "owner": "operator",
        "files": {"REGISTERED": {"count": 2, "bytes": 15}},
        "deliveries": {"QUEUED": {"count": 1, "bytes": 5}},
    }
    assert (await api.http.get("/counts", params={"owner": "nobody"})).json()["files"] == {}


async def test_counts_show_media_types_with_the_most_bytes_first(api: Api, ports: Ports) -> None:
    for length, content_type in ((7, "text/plain"), (8, "text/plain"), (100, "application/x-hdf5")):
        await registered(ports, replace(new_file(length=length), content_type=content_type))
    shown = (await api.http.get("/counts/types")).json()
    assert shown.pop("counted_at").endswith("Z")
    assert shown == {
        "owner": "operator",
        "types": [
            {"content_type": "application/x-hdf5", "count": 1, "bytes": 100},
            {"content_type": "text/plain", "count": 2, "bytes": 15},
        ],
        "others": {"count": 0, "bytes": 0},
    }
    assert (await api.http.get("/counts/types", params={"owner": "nobody"})).json()["types"] == []


async def test_only_admins_count_what_others_have(house: House) -> None:
    header = bearer(await house.key())
    for path in ("/counts", "/counts/types"):
        assert (await house.http.get(path, headers=header)).json()["owner"] == "alice"
        refused = await house.http.get(path, params={"owner": "bob"}, headers=header)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")

"""One api process at a time holds the dispatcher's lease."""

import asyncio

from gridhaul.storage.agenda import MongoDispatcherLease
from gridhaul.storage.connect import Database
from tests.contracts.ports import eventually


def _lease(database: Database, holder: str, *, lease_seconds: float = 60) -> MongoDispatcherLease:
    return MongoDispatcherLease(database, holder=holder, lease_seconds=lease_seconds)


async def test_holder_keeps_it_and_others_do_not_get_it(database: Database) -> None:
    one, other = _lease(database, "one"), _lease(database, "other")
    assert [await one.hold(), await other.hold(), await one.hold()] == [True, False, True]


async def test_of_many_at_once_one_holds_it(database: Database) -> None:
    answers = await asyncio.gather(*(_lease(database, f"${number}").hold() for number in range(20)))
    assert answers.count(True) == 1


async def test_given_up_it_is_free_at_once_but_only_by_its_holder(database: Database) -> None:
    one, other = _lease(database, "one"), _lease(database, "other")
    assert await one.hold()
    await other.give_up()
    assert not await other.hold()
    await one.give_up()
    assert await other.hold()


async def test_when_its_holder_is_gone_another_gets_it(database: Database) -> None:
    assert await _lease(database, "one", lease_seconds=0.05).hold()
    assert await eventually(_lease(database, "other").hold)

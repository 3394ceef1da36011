"""The suite of `SeenTargets`, `ProbedTargets` and `TargetRegistry`."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gridhaul.storage.connect import Database
from gridhaul.storage.seen_targets import MongoSeenTargets
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import LeaseLost, Patience
from gridhaul.transfer.known_targets import PROBEABLE, TargetDefinition, TargetRecord, TargetState, target_id
from gridhaul.transfer.model import Failure, Queue, SeenTarget, TaskName
from tests.contracts.ports import LONG_LEASE_SECONDS, Ports, eventually

ONE, OTHER = "1" * 64, "2" * 64
FACTS = {"propfind": True, "destination": "https://files.example/$in", "lost": ["$a", "b"]}
LATER = {"marker": "$ffff"}
ABLE = Abilities(atomic=True, digest="sha-256")
HOUR_SECONDS = 3600.0
SILENT = Failure(code="target_unavailable", detail="The target $did not answer.")
ARCHIVE = TargetDefinition(name="archive", kind="webdav", fingerprint=ONE, allow_overwrite_race=False)
DISK = TargetDefinition(name="disk", kind="directory", fingerprint=OTHER, allow_overwrite_race=False)


async def note(ports: Ports, fingerprint: str, facts: Mapping[str, Any], *, last_seconds: float = HOUR_SECONDS) -> None:
    await ports.seen_targets.note(fingerprint, "$name", facts, abilities=ABLE, last_seconds=last_seconds)


async def note_first(ports: Ports, facts: Mapping[str, Any], abilities: Abilities = ABLE) -> Mapping[str, Any]:
    return await ports.seen_targets.note_first(ONE, "name", facts, abilities=abilities, last_seconds=HOUR_SECONDS)


async def record(ports: Ports, fingerprint: str = ONE) -> TargetRecord:
    return (await ports.seen_targets.of([fingerprint]))[fingerprint]


async def claim(ports: Ports) -> TargetRecord | None:
    return await ports.seen_targets.claim(
        target_id(ONE), holder="worker", from_states=PROBEABLE, to_state=TargetState.PROBING
    )


async def claimed(ports: Ports) -> TargetRecord:
    found = await claim(ports)
    assert found is not None
    return found


async def probed(ports: Ports, *, again_seconds: float = HOUR_SECONDS) -> None:
    """Let a worker probe the target with success."""
    held = await claimed(ports)
    await note(ports, ONE, FACTS)
    await ports.seen_targets.release(held.lease, TargetState.WAITING, delay_seconds=again_seconds, error=None)


async def due(ports: Ports) -> list[str]:
    hints = await ports.agenda.due(10)
    assert {(hint.task, hint.queue) for hint in hints} <= {(TaskName.PROBE_TARGET, Queue.MAINTENANCE)}
    return [hint.record_id for hint in hints]


def seconds_until(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - datetime.now(UTC)).total_seconds()


async def test_target_that_was_never_seen_has_no_facts(ports: Ports) -> None:
    assert await ports.seen_targets.find(ONE) is None
    await ports.seen_targets.configure([ARCHIVE])
    assert await ports.seen_targets.find(ONE) is None


async def test_facts_are_found_as_they_were_noted(ports: Ports) -> None:
    await note(ports, ONE, FACTS)
    seen = await ports.seen_targets.find(ONE)
    assert seen is not None
    assert seen.facts == FACTS
    assert 0 <= seen.age_seconds < 30
    assert await ports.seen_targets.find(OTHER) is None


async def test_later_facts_replace_the_earlier_and_are_young(ports: Ports) -> None:
    await note(ports, ONE, FACTS)

    async def older() -> SeenTarget | None:
        seen = await ports.seen_targets.find(ONE)
        return seen if seen and seen.age_seconds > 0.1 else None

    old = await eventually(older)
    await note(ports, ONE, LATER)
    seen = await ports.seen_targets.find(ONE)
    assert seen is not None
    assert old is not None
    assert seen.facts == LATER
    assert seen.age_seconds < old.age_seconds


async def test_first_facts_stay(ports: Ports) -> None:
    assert await note_first(ports, FACTS) == FACTS
    first = await record(ports)
    assert await note_first(ports, LATER, Abilities()) == FACTS
    seen = await ports.seen_targets.find(ONE)
    assert seen is not None
    assert seen.facts == FACTS
    later = await record(ports)
    assert (later.abilities, later.seen_at) == (ABLE, first.seen_at)


async def test_first_facts_of_a_configured_target_are_kept(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    assert await note_first(ports, FACTS) == FACTS
    assert (await record(ports)).facts == FACTS


async def test_many_that_note_first_facts_at_once_get_the_same(ports: Ports) -> None:
    noting = (note_first(ports, {"marker": str(n)}) for n in range(20))
    assert len({facts["marker"] for facts in await asyncio.gather(*noting)}) == 1


async def test_outdated_facts_are_older_than_any_age_at_which_a_probe_is_due(ports: Ports) -> None:
    await note(ports, ONE, FACTS)
    await note(ports, OTHER, FACTS)
    for _ in range(2):
        await ports.seen_targets.outdate(ONE)
    ages = [found.age_seconds for name in (ONE, OTHER) if (found := await ports.seen_targets.find(name))]
    assert ages[0] > 10**9 > 60 > ages[1]


async def test_nothing_is_outdated_that_was_never_seen(ports: Ports) -> None:
    await ports.seen_targets.outdate(ONE)
    assert await ports.seen_targets.find(ONE) is None
    assert await ports.seen_targets.of([ONE]) == {}


async def test_abilities_count_while_the_facts_are_fresh(ports: Ports) -> None:
    await note(ports, ONE, FACTS)
    seen, now = await record(ports), datetime.now(UTC)
    assert seen.abilities_at(now) == ABLE
    assert seen.abilities_at(now + timedelta(seconds=HOUR_SECONDS + 60)) is None
    await ports.seen_targets.outdate(ONE)
    outdated = await record(ports)
    assert (outdated.abilities, outdated.abilities_at(now)) == (ABLE, None)
    await note(ports, ONE, LATER)
    assert (await record(ports)).abilities_at(now) == ABLE


async def test_configured_targets_are_due_once(ports: Ports) -> None:
    for _ in range(2):
        await ports.seen_targets.configure([ARCHIVE, DISK])
    assert sorted(await due(ports)) == [target_id(ONE), target_id(OTHER)]
    assert await due(ports) == []
    await ports.seen_targets.configure([ARCHIVE, DISK])
    assert await due(ports) == []
    new = await record(ports)
    assert (new.name, new.state, new.tried_at, new.seen_at, new.fence) == (
        "archive",
        TargetState.WAITING,
        None,
        None,
        0,
    )


async def test_renamed_target_keeps_its_record(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    await probed(ports)
    await ports.seen_targets.configure([replace(ARCHIVE, name="vault")])
    renamed = await record(ports)
    assert (renamed.name, renamed.facts) == ("vault", FACTS)


async def test_target_that_is_configured_no_more_is_not_probed_until_it_is_back(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE, DISK])
    held = await claimed(ports)
    await ports.seen_targets.configure([DISK])
    with pytest.raises(LeaseLost):
        await ports.seen_targets.require(held.lease)
    retired = await record(ports)
    assert (retired.state, retired.next_attempt_at) == (TargetState.RETIRED, None)
    assert await claim(ports) is None
    await note(ports, ONE, FACTS)
    await ports.seen_targets.outdate(ONE)
    assert target_id(ONE) not in await due(ports)
    await ports.seen_targets.configure([ARCHIVE, DISK])
    back = await record(ports)
    assert (back.state, back.facts) == (TargetState.WAITING, FACTS)
    assert await due(ports) == [target_id(ONE)]


async def test_probe_that_ended_is_followed_by_the_next_in_its_time(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    await probed(ports)
    seen = await record(ports)
    assert seen.state is TargetState.WAITING
    assert seen.tried_at is not None
    assert 3500 < seconds_until(seen.next_attempt_at) <= 3600
    assert await due(ports) == []
    assert await claim(ports) is None


async def test_target_is_due_again_when_its_time_has_come(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    await probed(ports, again_seconds=0.05)
    assert await eventually(lambda: due(ports)) == [target_id(ONE)]
    assert await claim(ports) is not None


async def test_error_of_a_probe_stays_until_the_next_has_ended(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    held = await claimed(ports)
    await ports.seen_targets.wait(
        held.lease, TargetState.WAITING, patience=Patience.HOURS, delay_seconds=0, error=SILENT, rate=None
    )
    failed = await record(ports)
    assert failed.error == SILENT
    assert failed.tried_at is not None
    again = await claimed(ports)
    assert (again.error, again.fruitless_attempts) == (SILENT, 2)
    await ports.seen_targets.renew(again.lease, scratch="$scratch", rate=None)
    assert (await record(ports)).error == SILENT
    await ports.seen_targets.release(
        again.lease, TargetState.WAITING, delay_seconds=HOUR_SECONDS, error=None, scratch=None
    )
    healed = await record(ports)
    assert (healed.error, healed.scratch) == (None, None)
    assert healed.tried_at is not None
    assert healed.tried_at >= failed.tried_at


async def test_probe_that_its_worker_gave_back_counts_as_no_try(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    held = await claimed(ports)
    await ports.seen_targets.release(held.lease, TargetState.WAITING, delay_seconds=0, fruitless_attempts=0)
    assert (await record(ports)).tried_at is None


async def test_requested_probe_is_due_at_once_and_still_to_come(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    await probed(ports)
    asked = await ports.seen_targets.test(ARCHIVE)
    assert (asked.state, asked.tried_at, asked.facts) == (TargetState.WAITING, None, FACTS)
    await probed(ports)
    assert (await record(ports)).tried_at is not None


async def test_request_takes_the_record_from_a_probe_that_began_before(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    early = await claimed(ports)
    await ports.seen_targets.test(ARCHIVE)
    with pytest.raises(LeaseLost):
        await ports.seen_targets.release(early.lease, TargetState.WAITING, delay_seconds=0, error=None)
    assert (await record(ports)).tried_at is None
    assert await claim(ports) is not None


@pytest.mark.parametrize("retired", [False, True])
async def test_request_makes_the_record_or_brings_it_back(ports: Ports, *, retired: bool) -> None:
    if retired:
        await ports.seen_targets.configure([ARCHIVE])
        await ports.seen_targets.configure([])
    asked = await ports.seen_targets.test(ARCHIVE)
    assert (asked.name, asked.state) == ("archive", TargetState.WAITING)
    assert await claim(ports) is not None


async def test_surprise_makes_a_probe_due(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    await probed(ports)
    await ports.seen_targets.outdate(ONE)
    assert await due(ports) == [target_id(ONE)]


async def test_probe_of_a_delivery_puts_off_the_next_and_ends_an_error(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    held = await claimed(ports)
    await ports.seen_targets.release(held.lease, TargetState.WAITING, delay_seconds=0, error=SILENT)
    await note(ports, ONE, FACTS, last_seconds=HOUR_SECONDS)
    seen = await record(ports)
    assert (seen.error, seen.fruitless_attempts) == (None, 0)
    assert 3500 < seconds_until(seen.next_attempt_at) <= 3600
    assert await due(ports) == []


async def test_probe_of_a_delivery_puts_off_no_requested_one(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    await probed(ports)
    await ports.seen_targets.test(ARCHIVE)
    await note(ports, ONE, LATER)
    assert await claim(ports) is not None


async def test_probe_of_a_delivery_puts_off_none_that_must_clear(ports: Ports) -> None:
    await ports.seen_targets.configure([ARCHIVE])
    await probed(ports, again_seconds=0)
    held = await claimed(ports)
    await ports.seen_targets.renew(held.lease, scratch="scratch")
    await note(ports, ONE, LATER)
    assert await claim(ports) is None, "a worker holds it"
    await ports.seen_targets.release(held.lease, TargetState.WAITING, delay_seconds=0, error=SILENT)
    await note(ports, ONE, LATER)
    again = await claimed(ports)
    assert (again.scratch, again.error) == ("scratch", SILENT)


async def test_record_whose_worker_was_killed_is_due_when_the_lease_ends(short_leases: Ports) -> None:
    await short_leases.seen_targets.configure([ARCHIVE])
    assert await due(short_leases) == [target_id(ONE)]
    await claimed(short_leases)
    assert await eventually(lambda: due(short_leases)) == [target_id(ONE)]
    assert await claim(short_leases) is not None


async def test_facts_of_the_older_form_are_found_and_kept(database: Database) -> None:
    seen = MongoSeenTargets(database, lease_seconds=LONG_LEASE_SECONDS)
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    await database["targets"].insert_one({"_id": ONE, "name": "archive", "facts": LATER, "seen_at": long_ago})
    former = await seen.find(ONE)
    assert former is not None
    assert former.facts == LATER
    await seen.configure([ARCHIVE])
    (kept,) = [document async for document in database["targets"].find()]
    assert (kept["fingerprint"], kept["facts"], kept["seen_at"]) == (ONE, LATER, long_ago)
    assert (await seen.of([ONE]))[ONE].abilities is None

"""The suite of `SeenTargets`."""

import asyncio

from gridhaul.transfer.model import SeenTarget
from tests.contracts.ports import Ports, eventually

ONE, OTHER = "1" * 64, "2" * 64
FACTS = {"propfind": True, "destination": "https://files.example/$in", "lost": ["$a", "b"]}
LATER = {"marker": "$ffff"}


async def test_target_that_was_never_seen_has_no_facts(ports: Ports) -> None:
    assert await ports.seen_targets.find(ONE) is None


async def test_facts_are_found_as_they_were_noted(ports: Ports) -> None:
    await ports.seen_targets.note(ONE, "$name", FACTS)
    seen = await ports.seen_targets.find(ONE)
    assert seen is not None
    assert seen.facts == FACTS
    assert 0 <= seen.age_seconds < 30
    assert await ports.seen_targets.find(OTHER) is None


async def test_later_facts_replace_the_earlier_and_are_young(ports: Ports) -> None:
    await ports.seen_targets.note(ONE, "name", FACTS)

    async def older() -> SeenTarget | None:
        seen = await ports.seen_targets.find(ONE)
        return seen if seen and seen.age_seconds > 0.1 else None

    old = await eventually(older)
    await ports.seen_targets.note(ONE, "name", LATER)
    seen = await ports.seen_targets.find(ONE)
    assert seen is not None
    assert old is not None
    assert seen.facts == LATER
    assert seen.age_seconds < old.age_seconds


async def test_first_facts_stay(ports: Ports) -> None:
    assert await ports.seen_targets.note_first(ONE, "name", FACTS) == FACTS
    assert await ports.seen_targets.note_first(ONE, "name", LATER) == FACTS
    seen = await ports.seen_targets.find(ONE)
    assert seen is not None
    assert seen.facts == FACTS


async def test_many_that_note_first_facts_at_once_get_the_same(ports: Ports) -> None:
    noting = (ports.seen_targets.note_first(ONE, "name", {"marker": str(n)}) for n in range(20))
    assert len({facts["marker"] for facts in await asyncio.gather(*noting)}) == 1


async def test_outdated_facts_are_older_than_any_age_at_which_a_probe_is_due(ports: Ports) -> None:
    await ports.seen_targets.note(ONE, "name", FACTS)
    await ports.seen_targets.note(OTHER, "name", FACTS)
    for _ in range(2):
        await ports.seen_targets.outdate(ONE)
    ages = [found.age_seconds for name in (ONE, OTHER) if (found := await ports.seen_targets.find(name))]
    assert ages[0] > 10**9 > 60 > ages[1]


async def test_nothing_is_outdated_that_was_never_seen(ports: Ports) -> None:
    await ports.seen_targets.outdate(ONE)
    assert await ports.seen_targets.find(ONE) is None

"""The N-th call of the ports fails while a target is probed that nobody delivers to."""

import pytest

from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.naming import MARKER
from tests.contracts.bytes_to_store import some_bytes
from tests.faults.every_call import AT_ONCE, every_call
from tests.faults.failing import Faults, Way
from tests.faults.twin_system import LEASE_SECONDS, Case, TwinSystem

ABLE = Abilities(atomic=True, exclusive=True, durable=True, resumable=True, free_space=True)
AWAY_SECONDS = LEASE_SECONDS + 10
FEWEST_CALLS = 4  # claim, note of the scratch, probe, note of the facts, release


async def _seen(system: TwinSystem) -> None:
    """Probe the target, and require that everything was seen, and that no file of a probe is left."""
    await system.configure_target()
    seen = await system.probed()
    assert (seen.abilities, seen.scratch, seen.error, seen.wait) == (ABLE, None, None, None)
    assert seen.facts is not None
    assert [path.name for path in system.delivered.iterdir()] == [MARKER]
    assert seen.facts["marker"] == (system.delivered / MARKER).read_text().split()[0]


async def _reached(system: TwinSystem) -> None:
    """Probe a target that has no stages: it promises nothing, and nothing is written."""
    await system.configure_target()
    assert (await system.probed()).abilities == Abilities()
    assert list(system.delivered.iterdir()) == []


@pytest.mark.parametrize("way", AT_ONCE)
def test_any_call_may_fail(way: Way) -> None:
    assert every_call(Case(data=b""), lambda number: Faults({number: way}), _seen) > FEWEST_CALLS


@pytest.mark.parametrize("way", AT_ONCE)
def test_any_call_may_fail_at_a_target_without_stages(way: Way) -> None:
    case = Case(data=some_bytes(5), atomic=False)
    assert every_call(case, lambda number: Faults({number: way}), _reached) >= FEWEST_CALLS


@pytest.mark.parametrize("port", ["seen_targets", "target"])
def test_port_may_be_away_for_longer_than_a_lease(port: str) -> None:
    def away(number: int) -> Faults:
        return Faults({number: Way.AWAY}, port=port, away_seconds=AWAY_SECONDS)

    assert every_call(Case(data=b""), away, _seen)

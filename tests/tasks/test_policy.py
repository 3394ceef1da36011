"""Deliveries whose policy their target cannot keep."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gridhaul.outgoing.http_client import make_client
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.http import HttpTarget
from gridhaul.targets.http_session import HttpSession
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import TargetNotExclusive
from gridhaul.transfer.model import IfExists
from gridhaul.transfer.ports.targets import BeforeWriting, Facts, Target
from gridhaul.transfer.states import DeliveryState
from tasks.delivering.policy import require_possible
from tests.contracts.ports import Ports, destination, memory_ports, new_delivery
from tests.delivered import objects_in
from tests.tasks.delivery_bench import NAME, Bench, code_of
from tests.tasks.worker_parts import only

PROTECTING = (IfExists.FAIL, IfExists.RENAME)


@pytest.fixture
def ports() -> Ports:
    return memory_ports(lease_seconds=60)


def disk(path: Path, *, exclusive: bool, **settings: Any) -> DirectoryTarget:
    target = DirectoryTarget(name="disk", path=path, **settings)
    target.abilities = Abilities(atomic=True, exclusive=exclusive)
    return target


async def require(ports: Ports, target: Target, if_exists: IfExists) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination(if_exists=if_exists)))
    require_possible(delivery, target)


@pytest.mark.parametrize("if_exists", PROTECTING)
async def test_target_that_replaces_is_refused_by_its_name(ports: Ports, tmp_path: Path, if_exists: IfExists) -> None:
    with pytest.raises(TargetNotExclusive, match="allow_overwrite_race = true for 'disk'") as refused:
        await require(ports, disk(tmp_path, exclusive=False), if_exists)
    assert not refused.value.retryable


async def test_overwriting_needs_no_promise(ports: Ports, tmp_path: Path) -> None:
    await require(ports, disk(tmp_path, exclusive=False), IfExists.OVERWRITE)


@pytest.mark.parametrize("if_exists", PROTECTING)
@pytest.mark.parametrize(("exclusive", "race"), [(True, False), (False, True)])
async def test_delivery_is_possible_with_the_promise_or_the_setting(
    ports: Ports, tmp_path: Path, if_exists: IfExists, *, exclusive: bool, race: bool
) -> None:
    await require(ports, disk(tmp_path, exclusive=exclusive, allow_overwrite_race=race), if_exists)


async def test_target_without_stages_is_not_judged(ports: Ports) -> None:
    session = HttpSession(make_client(), url="http://127.0.0.1:9", authorization=None)
    web = HttpTarget(name="web", session=session)
    await require(ports, web, IfExists.FAIL)
    await web.close()


class Replacing(DirectoryTarget):
    """A directory whose probe sees a file system that replaces what has the name."""

    async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
        return {**await super().probe(scratch, before_writing), "exclusive": False}


def use(bench: Bench, *, race: bool) -> None:
    """Let the bench's worker be one that has not seen the disk yet."""
    disk = Replacing(name="disk", path=bench.disk, allow_overwrite_race=race)
    bench.runtime = replace(bench.runtime, targets=only(disk))


@pytest.mark.parametrize("if_exists", PROTECTING)
async def test_attempt_at_a_target_that_was_not_seen_yet_is_refused_before_the_first_byte(
    bench: Bench, if_exists: IfExists
) -> None:
    use(bench, race=False)
    delivery = await bench.deliver(b"new", "disk", if_exists=if_exists)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, TargetNotExclusive.code)
    assert (delivery.leftovers, delivery.sent_in_attempts, objects_in(bench.disk)) == ((), (), [])


async def test_delivery_that_accepts_the_race_says_so_and_keeps_what_it_sees(bench: Bench) -> None:
    use(bench, race=True)
    delivery = await bench.deliver(b"new", "disk")
    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.receipt is not None
    assert delivery.receipt.abilities is not None
    assert not delivery.receipt.abilities.exclusive
    bench.deliveries.rows.clear()
    late = await bench.deliver(b"late", "disk")
    assert (late.state, code_of(late)) == (DeliveryState.FAILED, "object_exists")
    assert (bench.disk / NAME).read_bytes() == b"new"

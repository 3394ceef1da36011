"""Targets with the facts that a probe saw: what is probed, when, and what deliveries do on another disk."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.targets_file import ConfiguredTargets
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import ObjectExists, TargetUnavailable
from gridhaul.transfer.model import Stage
from gridhaul.transfer.naming import MARKER, scratch_name
from gridhaul.transfer.ports.targets import BeforeWriting, Blocks, Facts, Leaving
from gridhaul.transfer.states import DeliveryState
from tasks.delivering.known_targets import KnownTargets
from tests.contracts.memory_seen_targets import MemorySeenTargets
from tests.delivered import objects_in
from tests.tasks.delivery_bench import NAME, Bench, code_of
from tests.tasks.worker_parts import only

DATA = b"new"


class Disk(DirectoryTarget):
    """A directory target that counts its probes."""

    def __init__(self, path: Path, *, name: str = "disk", probing: Callable[[], None] = lambda: None) -> None:
        super().__init__(name=name, path=path)
        self.probes: list[str] = []
        self._probing = probing

    async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
        async def then_probing() -> None:
            await before_writing()
            self._probing()

        self.probes.append(scratch)
        return await super().probe(scratch, then_probing)


@pytest.fixture
def seen() -> MemorySeenTargets:
    return MemorySeenTargets()


def use(bench: Bench, seen: MemorySeenTargets, *disks: DirectoryTarget) -> KnownTargets:
    """Let the bench's worker be one that has just started and has these targets."""
    makers: dict[str, Callable[[], DirectoryTarget]] = {}
    for disk in disks:
        makers[disk.name] = lambda disk=disk: disk  # type: ignore[misc]
    targets = KnownTargets(ConfiguredTargets(makers), seen)
    bench.runtime = replace(bench.runtime, targets=targets)
    return targets


def swap(disk: Path) -> Path:
    """Put an empty directory in the place of the disk, as when it is unmounted; return the disk's path now."""
    away = disk.with_name("away")
    disk.rename(away)
    disk.mkdir()
    return away


def swap_back(disk: Path) -> None:
    disk.rmdir()
    disk.with_name("away").rename(disk)


async def test_target_is_probed_once_for_all_workers(bench: Bench, seen: MemorySeenTargets) -> None:
    first, later = Disk(bench.disk), Disk(bench.disk)
    use(bench, seen, first)
    delivery = await bench.deliver(DATA, "disk")
    assert first.probes == [scratch_name(delivery.lease)]
    assert (delivery.state, delivery.leftovers) == (DeliveryState.DELIVERED, ())
    facts = await seen.find(first.fingerprint)
    assert facts is not None
    assert facts.facts["marker"] == (bench.disk / MARKER).read_text().split()[0]
    bench.deliveries.rows.clear()
    use(bench, seen, later)
    assert (await bench.deliver(b"other", "disk")).error is not None, "the object of the first delivery is there"
    assert later.probes == []


async def test_worker_does_not_probe_what_another_has_probed_meanwhile(bench: Bench, seen: MemorySeenTargets) -> None:
    early, late = Disk(bench.disk), Disk(bench.disk)
    late_worker = use(bench, seen, late)
    await late_worker.get("disk")
    use(bench, seen, early)
    await bench.deliver(DATA, "disk")
    bench.runtime = replace(bench.runtime, targets=late_worker)
    await bench.deliver(DATA, "disk")
    assert (len(early.probes), len(late.probes)) == (1, 0)


async def test_names_of_a_probe_are_leftovers_while_it_runs(bench: Bench, seen: MemorySeenTargets) -> None:
    def fail() -> None:
        raise TargetUnavailable("The disk failed.")

    broken = Disk(bench.disk, probing=fail)
    use(bench, seen, broken)
    delivery = await bench.deliver(DATA, "disk")
    assert delivery.leftovers == (broken.probes[0],)
    (bench.disk / f"{broken.probes[0]}marker").write_bytes(b"half a marker")
    use(bench, seen, Disk(bench.disk))
    delivered = await bench.attempt(delivery)
    assert delivered.state is DeliveryState.DELIVERED
    assert [path.name for path in objects_in(bench.disk)] == [NAME]


async def test_every_name_of_a_place_relies_on_its_facts(bench: Bench, seen: MemorySeenTargets) -> None:
    use(bench, seen, Disk(bench.disk))
    await bench.deliver(DATA, "disk")
    targets = use(bench, seen, Disk(bench.disk), Disk(bench.disk, name="alias"))
    swap(bench.disk)
    for name in ("disk", "alias"):
        with pytest.raises(TargetUnavailable, match="Is its disk mounted"):
            await (await targets.get(name)).remove(NAME)


async def test_disk_that_is_not_there_is_noticed_before_the_first_byte(bench: Bench, seen: MemorySeenTargets) -> None:
    use(bench, seen, Disk(bench.disk))
    await bench.deliver(DATA, "disk")
    bench.deliveries.rows.clear()
    swap(bench.disk)
    use(bench, seen, Disk(bench.disk))
    waiting = await bench.deliver(DATA, "disk")
    assert (waiting.state, code_of(waiting)) == (DeliveryState.QUEUED, "target_unavailable")
    assert list(bench.disk.iterdir()) == []
    swap_back(bench.disk)
    assert (await bench.attempt(waiting)).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("moment", ["in mid-stream", "before the commit", "after the commit"])
async def test_disk_that_goes_during_a_delivery_gets_the_object_once_it_is_back(
    bench: Bench, seen: MemorySeenTargets, moment: str
) -> None:
    class Going(Disk):
        async def write(self, stage: Stage, blocks: Blocks, *, leaving: Leaving, **more: Any) -> Stage:
            def going(leaves: int) -> None:
                leaving(leaves)
                if leaves and moment == "in mid-stream":
                    swap(bench.disk)

            return await super().write(stage, blocks, leaving=going, **more)

        async def commit(self, stage: Stage) -> None:
            if moment == "before the commit":
                swap(bench.disk)
            await super().commit(stage)
            if moment == "after the commit":
                swap(bench.disk)

    use(bench, seen, Going(bench.disk))
    waiting = await bench.deliver(DATA, "disk")
    assert (waiting.state, code_of(waiting)) == (DeliveryState.QUEUED, "target_unavailable")
    assert waiting.receipt is None
    assert list(bench.disk.iterdir()) == []
    swap_back(bench.disk)
    use(bench, seen, Disk(bench.disk))
    delivered = await bench.attempt(waiting)
    assert delivered.state is DeliveryState.DELIVERED
    await bench.clean(delivered)
    assert {path.name: path.read_bytes() for path in objects_in(bench.disk)} == {NAME: DATA}


async def test_leftovers_on_a_disk_that_is_away_stay_noted(bench: Bench, seen: MemorySeenTargets) -> None:
    class Broken(Disk):
        async def commit(self, stage: Stage) -> None:
            swap(bench.disk)
            await super().commit(stage)

    use(bench, seen, Broken(bench.disk))
    failed = await bench.deliver(DATA, "disk", attempts=4)
    assert failed.state is DeliveryState.FAILED
    assert (await bench.clean(failed)).leftovers == failed.leftovers != ()
    swap_back(bench.disk)
    assert objects_in(bench.disk) != []
    bench.row.next_attempt_at = 0.0
    assert (await bench.clean(failed)).leftovers == ()
    assert objects_in(bench.disk) == []


async def test_target_that_was_never_seen_is_cleaned_without_a_probe(bench: Bench) -> None:
    fresh = Disk(bench.disk)
    await (await only(fresh).get("disk")).remove("nothing")
    assert fresh.probes == []
    assert list(bench.disk.iterdir()) == []


@pytest.mark.parametrize(("last", "outdated", "probes"), [(3600.0, False, 1), (0.0, False, 2), (3600.0, True, 2)])
async def test_facts_that_are_too_old_or_outdated_are_replaced(
    bench: Bench, seen: MemorySeenTargets, last: float, outdated: bool, probes: int
) -> None:
    class Ageing(Disk):
        facts_last_seconds = last

        async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
            return {**await super().probe(scratch, before_writing), "number": len(self.probes)}

    disk = Ageing(bench.disk)
    use(bench, seen, disk)
    await bench.deliver(DATA, "disk")
    bench.deliveries.rows.clear()
    disk.facts_outdated = outdated
    await bench.deliver(DATA, "disk")
    assert len(disk.probes) == probes
    kept = await seen.find(disk.fingerprint)
    assert kept is not None
    assert kept.facts["number"] == probes


async def test_damaged_facts_are_probed_and_replaced(bench: Bench, seen: MemorySeenTargets) -> None:
    disk = Disk(bench.disk)
    await seen.note(disk.fingerprint, "disk", {"marker": None}, abilities=Abilities(), last_seconds=3600)
    use(bench, seen, disk)
    await bench.deliver(DATA, "disk")
    kept = await seen.find(disk.fingerprint)
    assert kept is not None
    assert kept.facts["marker"] == (bench.disk / MARKER).read_text().split()[0]


async def test_facts_that_a_delivery_refuted_are_outdated_for_all_workers(
    bench: Bench, seen: MemorySeenTargets
) -> None:
    class Surprising(Disk):
        facts_last_seconds = 3600.0

        async def commit(self, stage: Stage) -> None:
            raise ObjectExists("Somebody was faster.")

    disk = Surprising(bench.disk)
    use(bench, seen, disk)
    await bench.deliver(DATA, "disk")
    kept = await seen.find(disk.fingerprint)
    assert kept is not None
    assert kept.age_seconds > Surprising.facts_last_seconds
    later = Disk(bench.disk)
    use(bench, seen, later)
    await bench.attempt(bench.row.record)
    assert len(later.probes) == 1

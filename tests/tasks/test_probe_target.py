"""The journey that probes a target: what it notes, what it clears, and when the next probe follows."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.targets_file import ConfiguredTargets, load_targets, target_definitions
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.errors import GridhaulError, TargetRefused, TargetUnavailable
from gridhaul.transfer.known_targets import TargetDefinition, TargetRecord, TargetState, target_id
from gridhaul.transfer.model import Hint, Queue, TaskName
from gridhaul.transfer.naming import MARKER, scratch_name
from gridhaul.transfer.states import DeliveryState
from tasks.delivering.known_targets import KnownTargets
from tasks.probe_target import probe
from tasks.probes import REFUSED_SECONDS, Probes
from tasks.runtime import UNLIMITED, Probing
from tests.contracts.memory_registry import MemoryAgenda
from tests.contracts.memory_seen_targets import MemorySeenTargets
from tests.delivered import objects_in
from tests.servers.http_store import HttpStore
from tests.tasks.delivery_bench import Bench
from tests.tasks.test_known_targets import Disk, swap, swap_back

DAY_SECONDS = 86_400.0


class Prober:
    """A worker that probes, with the targets that a test gives it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seen = MemorySeenTargets()
        self.agenda = MemoryAgenda({}, {}, {}, {}, {}, {}, self.seen.rows)
        self.stopping = False
        self.fingerprint = ""

    def give(self, targets: ConfiguredTargets) -> None:
        """Let the worker be one that has just started and has these targets."""
        attempts = Probes(
            records=self.seen,
            waiting=TargetState.WAITING,
            failed=TargetState.WAITING,
            stopping=lambda: self.stopping,
            renew_seconds=10,
            lease_seconds=60,
            limits=UNLIMITED,
        )
        probing = Probing(records=self.seen, attempts=attempts)
        known = KnownTargets(targets, self.seen)
        self.bench.runtime = replace(self.bench.runtime, targets=known, probing=probing)

    async def use(self, disk: DirectoryTarget) -> None:
        """Let the disk be configured, for the worker and for the api."""
        self.give(ConfiguredTargets({disk.name: lambda: disk}))
        await self.configure(
            TargetDefinition(name=disk.name, kind="directory", fingerprint=disk.fingerprint, allow_overwrite_race=False)
        )

    async def configure(self, target: TargetDefinition) -> None:
        self.fingerprint = target.fingerprint
        await self.seen.configure([target])

    @property
    def record(self) -> TargetRecord:
        return self.seen.rows[target_id(self.fingerprint)].record

    async def probe(self) -> TargetRecord:
        """Let the worker follow a hint."""
        await probe(self.bench.runtime, target_id(self.fingerprint))
        return self.record

    def end_lease(self) -> None:
        """Let the time of a lease pass whose worker was killed."""
        self.seen.rows[target_id(self.fingerprint)].lease_until = 0.0


@pytest.fixture
def prober(bench: Bench) -> Prober:
    return Prober(bench)


def raising(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def seconds_until_next(record: TargetRecord) -> float:
    assert record.next_attempt_at is not None
    return (record.next_attempt_at - datetime.now(UTC)).total_seconds()


async def test_new_target_is_probed_and_due_again_in_a_day(prober: Prober) -> None:
    disk = Disk(prober.bench.disk)
    await prober.use(disk)
    (hint,) = await prober.agenda.due(10)
    expected = Hint(task=TaskName.PROBE_TARGET, record_id=target_id(disk.fingerprint), queue=Queue.MAINTENANCE)
    assert hint == expected
    seen = await prober.probe()
    assert disk.probes == [scratch_name(seen.lease)]
    assert (seen.state, seen.error, seen.scratch, seen.fruitless_attempts) == (TargetState.WAITING, None, None, 0)
    assert seen.abilities == Abilities(atomic=True, exclusive=True, durable=True, resumable=True, free_space=True)
    assert seen.facts is not None
    assert seen.facts["marker"] == (prober.bench.disk / MARKER).read_text().split()[0]
    assert seen.tried_at is not None
    assert DAY_SECONDS - 60 < seconds_until_next(seen) <= DAY_SECONDS
    assert list(objects_in(prober.bench.disk)) == []
    await prober.probe()
    assert len(disk.probes) == 1, "a second hint finds nothing due"


async def test_delivery_relies_on_what_the_probe_saw(prober: Prober) -> None:
    disk = Disk(prober.bench.disk)
    await prober.use(disk)
    await prober.probe()
    await prober.use(disk)
    delivery = await prober.bench.deliver(b"new", "disk")
    assert (delivery.state, len(disk.probes)) == (DeliveryState.DELIVERED, 1)


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [(TargetUnavailable("Away."), 0.0, 5.0), (TargetRefused("No."), REFUSED_SECONDS - 60, REFUSED_SECONDS)],
)
async def test_probe_that_fails_notes_the_error_and_is_repeated(
    prober: Prober, error: GridhaulError, least: float, most: float
) -> None:
    await prober.use(Disk(prober.bench.disk, probing=raising(error)))
    failed = await prober.probe()
    assert failed.error is not None
    assert (failed.error.code, failed.error.detail) == (error.code, error.detail)
    assert (failed.state, failed.seen_at, failed.abilities) == (TargetState.WAITING, None, None)
    assert failed.tried_at is not None
    assert least - 5 <= seconds_until_next(failed) <= most
    await prober.use(Disk(prober.bench.disk))
    await prober.seen.test(
        TargetDefinition(name="disk", kind="directory", fingerprint=prober.fingerprint, allow_overwrite_race=False)
    )
    healed = await prober.probe()
    assert (healed.error, healed.wait) == (None, None)
    assert healed.seen_at is not None


async def test_next_probe_clears_what_a_killed_one_left(prober: Prober) -> None:
    await prober.use(Disk(prober.bench.disk, probing=raising(asyncio.CancelledError())))
    with pytest.raises(asyncio.CancelledError):
        await prober.probe()
    left = prober.record.scratch
    assert left == scratch_name(prober.record.lease)
    assert prober.record.state is TargetState.PROBING
    (prober.bench.disk / f"{left}marker").write_bytes(b"half a marker")
    (prober.bench.disk / f"{left}a").write_bytes(b"a part")
    prober.end_lease()
    await prober.use(Disk(prober.bench.disk))
    seen = await prober.probe()
    assert (seen.scratch, seen.error) == (None, None)
    assert [path.name for path in prober.bench.disk.iterdir()] == [MARKER]


async def test_disk_that_is_away_is_not_cleared_and_not_adopted(prober: Prober) -> None:
    await prober.use(Disk(prober.bench.disk))
    await prober.probe()
    swap(prober.bench.disk)
    await prober.use(Disk(prober.bench.disk))
    await prober.seen.outdate(prober.fingerprint)
    failed = await prober.probe()
    assert failed.error is not None
    assert failed.error.code == "target_unavailable"
    assert failed.abilities is not None, "what was seen stays shown"
    assert list(prober.bench.disk.iterdir()) == []
    swap_back(prober.bench.disk)


async def test_surprise_leads_to_a_probe(prober: Prober) -> None:
    disk = Disk(prober.bench.disk)
    await prober.use(disk)
    await prober.probe()
    await prober.seen.outdate(prober.fingerprint)
    assert prober.record.abilities_at(datetime.now(UTC)) is None
    seen = await prober.probe()
    assert len(disk.probes) == 2
    assert seen.abilities_at(datetime.now(UTC)) == seen.abilities


async def test_request_during_a_probe_stops_it_and_leads_to_another(prober: Prober) -> None:
    definition = TargetDefinition(
        name="disk",
        kind="directory",
        fingerprint=DirectoryTarget(name="disk", path=prober.bench.disk).fingerprint,
        allow_overwrite_race=False,
    )

    class Slow(Disk):
        async def probe(self, *args: Any) -> Any:
            await prober.seen.test(definition)
            return await super().probe(*args)

    await prober.use(Slow(prober.bench.disk))
    stopped = await prober.probe()
    assert (stopped.tried_at, stopped.error, stopped.facts) == (None, None, None)
    await prober.use(Disk(prober.bench.disk))
    assert (await prober.probe()).tried_at is not None


async def test_worker_that_stops_gives_the_record_back(prober: Prober) -> None:
    class Hanging(Disk):
        async def probe(self, *_: Any) -> Any:
            prober.stopping = True
            await asyncio.Event().wait()

    await prober.use(Hanging(prober.bench.disk))
    stopped = await prober.probe()
    assert (stopped.state, stopped.tried_at, stopped.error) == (TargetState.WAITING, None, None)
    assert stopped.fruitless_attempts == 0
    assert seconds_until_next(stopped) <= 0


@pytest.mark.parametrize("worker_has", ["no such target", "another path"])
async def test_worker_with_another_configuration_says_so(prober: Prober, worker_has: str, tmp_path: Path) -> None:
    await prober.use(Disk(prober.bench.disk))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    makers = {} if worker_has == "no such target" else {"disk": lambda: Disk(elsewhere)}
    prober.give(ConfiguredTargets(makers))
    failed = await prober.probe()
    assert failed.error is not None
    assert failed.error.code == "target_unknown"
    assert "restart the workers" in failed.error.detail
    assert list(elsewhere.iterdir()) == []


async def test_retired_target_is_not_probed(prober: Prober) -> None:
    disk = Disk(prober.bench.disk)
    await prober.use(disk)
    await prober.seen.configure([])
    assert (await prober.probe()).state is TargetState.RETIRED
    assert disk.probes == []


async def test_plain_target_is_only_asked_for_an_object(prober: Prober, web: HttpStore, tmp_path: Path) -> None:
    path = tmp_path / "web.toml"
    path.write_text(f'[targets.web]\nkind = "http"\nurl = "{web.url}"\n')
    (definition,) = target_definitions(path)
    targets = load_targets(path)
    prober.give(targets)
    await prober.configure(definition)
    seen = await prober.probe()
    assert (seen.abilities, seen.error) == (Abilities(), None)
    assert DAY_SECONDS - 60 < seconds_until_next(seen) <= DAY_SECONDS
    assert list((tmp_path / "web").iterdir()) == []
    await targets.close()


async def test_plain_target_that_is_away_is_told(prober: Prober, tmp_path: Path) -> None:
    path = tmp_path / "web.toml"
    path.write_text('[targets.web]\nkind = "http"\nurl = "http://127.0.0.1:9"\n')
    (definition,) = target_definitions(path)
    targets = load_targets(path)
    prober.give(targets)
    await prober.configure(definition)
    failed = await prober.probe()
    assert failed.error is not None
    assert (failed.error.code, failed.seen_at) == ("target_unavailable", None)
    await targets.close()

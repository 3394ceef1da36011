"""Finding, planning and registering the files of a batch: it can be stopped anywhere, and counts nothing twice."""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gridhaul.source import bunches
from gridhaul.source.opened import identify
from gridhaul.source.roots import Roots
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.batches import Batch, BatchState, BatchTarget, Choice, NewBatch, Plan, Position, Skipped
from gridhaul.transfer.errors import LeaseLost, SourceUnavailable
from gridhaul.transfer.lists import ListFormat, ListPage, NewList
from gridhaul.transfer.model import (
    IfExists,
    Lease,
    NewFile,
    RecordId,
)
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.ports.targets import Target
from gridhaul.transfer.skipping import SkipReason
from gridhaul.transfer.states import DeliveryState
from tasks.attempt import Meter, Tenure
from tasks.batches.planning import plan_some
from tasks.batches.registering import register_some
from tasks.delivering.known_targets import KnownTargets
from tasks.runtime import Batches, Runtime
from tests.contracts.memory_accounts import MemoryAccounts, MemoryUsage
from tests.contracts.memory_batches import MemoryBatches, MemoryLanes, MemoryMembers, MemorySkippedPaths
from tests.contracts.memory_earlier_work import MemoryFormerDeliveries, MemoryPlannedNames
from tests.contracts.memory_path_lists import MemoryPathLists
from tests.contracts.memory_seen_targets import MemorySeenTargets
from tests.contracts.ports import destination, from_path, new_delivery, new_file
from tests.targets.deliveries import may_write
from tests.tasks.bundle_bench import LEASE_SECONDS, TARGET, Bench
from tests.unused import UNUSED

OWNER = "operator"
TO_DISK = BatchTarget(target=TARGET, prefix="", if_exists=IfExists.FAIL)


class NotedBatches(MemoryBatches):
    """Batches that remember each position that was noted."""

    def __init__(self) -> None:
        super().__init__(lease_seconds=LEASE_SECONDS)
        self.noted: list[Position] = []

    async def renew(self, lease: Lease, **changes: object) -> None:
        await super().renew(lease, **changes)
        if isinstance(position := changes.get("position"), Position):
            self.noted.append(position)


class CountedMembers(MemoryMembers):
    """Members that count the writes of new ones."""

    inserts = 0

    async def insert(self, new: Sequence[NewFile]) -> Sequence[NewFile | None]:
        self.inserts += 1
        return await super().insert(new)


class OneTarget:
    """Gives one target for every name."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def get(self, name: str) -> Target:
        return self._target


def no_bytes() -> Meter:
    return Meter(0, lambda _: {})


@dataclass(kw_only=True)
class Finder:
    """A worker's parts over memory twins, and a tree of files beneath `top`."""

    bench: Bench
    quota_bytes: int | None = None

    def __post_init__(self) -> None:
        self.top = self.bench.outgoing
        self.records = NotedBatches()
        self.members = CountedMembers(self.bench.files, self.bench.deliveries)
        self.skipped = MemorySkippedPaths()
        self.lists = MemoryPathLists(self.records.rows)
        self.accounts = MemoryAccounts()
        self.target = DirectoryTarget(name=TARGET, path=self.bench.delivered)
        self.seen_targets = MemorySeenTargets()
        self.runtime = self._runtime()

    def touch(self, *names: str, data: bytes = b"12345") -> None:
        for name in names:
            path = self.top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    async def ask(self, *sources: str, roots: Sequence[Path] = (), **asked: Any) -> RecordId:
        new = NewBatch(
            owner=OWNER,
            sources=tuple(f"{self.top}/{source}" for source in sources),
            root_of=tuple(map(str, roots or [self.top] * len(sources))),
            base=asked.pop("base", None),
            choice=asked.pop("choice", Choice()),
            deliver_to=asked.pop("deliver_to", ()),
            if_changed=IfChanged.FAIL,
            **asked,
        )
        return (await self.records.register(new))[0].id

    async def run(self, batch_id: RecordId) -> Batch:
        """Let a worker take one slice of the batch. Raises what the slice raises."""
        batch = await self.records.claim_in_its_state(batch_id, holder="worker")
        assert batch is not None
        go_on = plan_some if batch.state is BatchState.PLANNING else register_some
        await go_on(self.runtime, batch, Tenure(LEASE_SECONDS), no_bytes())
        return self.records.rows[batch_id].record

    async def deliver(self, name: str, *targets: str) -> None:
        """Record that the file was delivered to the targets as it is now."""
        path = str(self.top / name)
        identity = await identify(path, Roots.any_of((self.top,)), max_file_bytes=None)
        file, _ = await self.bench.files.register(from_path(new_file(name=name), path=path, identity=identity))
        for target in targets:
            new = new_delivery(destination(target, object_name=name), file_id=file.id)
            delivery, _ = await self.bench.deliveries.open(replace(new, source_path=path))
            row = self.bench.deliveries.rows[delivery.id]
            row.record = replace(row.record, state=DeliveryState.DELIVERED, ended_at=row.record.created_at)

    async def listed(self, batch_id: RecordId) -> list[tuple[str, str]]:
        skipped = await self.skipped.page(batch_id, limit=1000, after=None)
        return [(one.path.removeprefix(f"{self.top}/"), one.reason) for one in skipped]

    def _runtime(self) -> Runtime:
        batches = Batches(
            records=self.records,
            lanes=MemoryLanes(),
            members=self.members,
            deletion=UNUSED,
            planned_names=MemoryPlannedNames(),
            former=MemoryFormerDeliveries(self.bench.files, self.bench.deliveries),
            skipped=self.skipped,
            lists=self.lists,
            attempts=UNUSED,
        )
        usage = MemoryUsage(self.accounts, quota_bytes=self.quota_bytes)
        targets = KnownTargets(OneTarget(self.target), self.seen_targets)
        return replace(self.bench.runtime(), batches=batches, usage=usage, targets=targets)


@pytest.fixture
def finder(tmp_path: Path) -> Finder:
    return Finder(bench=Bench(root=tmp_path))


async def test_search_that_finds_nothing_notes_how_far_it_came(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bunches, "BUNCH_SECONDS", 0.0)
    finder.touch("a/x.txt", "b/y.txt", "c.txt")
    batch = await finder.run(await finder.ask("**/*.h5"))
    afters = [position.after.removeprefix(f"{finder.top}/") for position in finder.records.noted]
    assert afters[:5] == ["a", "a/x.txt", "b", "b/y.txt", "c.txt"]
    assert all(position.unmatched for position in finder.records.noted[:5])
    assert batch.position is None
    assert await finder.listed(batch.id) == [("**/*.h5", SkipReason.NO_MATCH)]


async def test_search_goes_on_where_it_stood_when_its_worker_was_lost(
    finder: Finder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bunches, "BUNCH_SECONDS", 0.0)
    finder.touch("a.h5", "b.txt", "c.h5", "no")
    batch_id = await finder.ask("**/*.h5", choice=Choice(exclude=("no",)))
    row = finder.records.rows[batch_id]
    row.record = replace(row.record, position=Position(source=0, after=f"{finder.top}/no", unmatched=True), excluded=1)
    batch = await finder.run(batch_id)
    assert (batch.position, batch.excluded) == (None, 1)
    assert [reason for _, reason in await finder.listed(batch_id)] == [SkipReason.NO_MATCH]


async def test_list_that_alternates_between_roots_is_registered_in_one_write(tmp_path: Path) -> None:
    finder = Finder(bench=Bench(root=tmp_path))
    finder.touch(*(f"{root}/{n}" for root in "ab" for n in range(20)))
    text = "".join(f"{root}/{n}\n" for n in range(20) for root in "ab").encode()
    list_id = finder.lists.new_id()
    await finder.lists.add_page(list_id, 0, ListPage(first_line=1, text=text))
    new = NewList(owner=OWNER, format=ListFormat.PATHS, length=len(text), entries=40, relative=40, pages=1)
    await finder.lists.register(list_id, new)
    roots = [finder.top / "a", finder.top / "b"]
    batch = await finder.run(await finder.ask(list_id=list_id, base=str(finder.top), roots=roots))
    assert (batch.position, finder.members.inserts) == (None, 1)
    files = [row.record for row in finder.bench.files.rows.values()]
    assert {(file.name, file.source.root) for file in files} == {
        (f"{root}/{n}", str(finder.top / root)) for root in "ab" for n in range(20)
    }


async def test_files_that_did_not_change_are_counted_once_though_the_quota_stops_the_batch(tmp_path: Path) -> None:
    finder = Finder(bench=Bench(root=tmp_path), quota_bytes=4)
    await finder.accounts.create(NewAccount(username=OWNER, scopes=()))
    finder.touch("same")
    await finder.deliver("same", TARGET)
    finder.touch("large")
    batch_id = await finder.ask("", deliver_to=(TO_DISK,), update=True)
    stopped = await finder.run(batch_id)
    assert (stopped.state, stopped.unchanged) == (BatchState.RUNNING, 0)
    account = finder.accounts.by_name[OWNER]
    finder.accounts.by_name[OWNER] = replace(account, quota_bytes=100)
    row = finder.records.rows[batch_id]
    row.record = replace(row.record, state=BatchState.REGISTERING)
    row.hint_at = 0.0
    row.attempt_at(0.0)
    done = await finder.run(batch_id)
    assert (done.position, done.unchanged) == (None, 1)


async def test_worker_whose_lease_has_ended_leaves_the_skipped_paths_of_its_successor(finder: Finder) -> None:
    batch_id = await finder.ask("", dry_run=True)
    row = finder.records.rows[batch_id]
    row.record = replace(row.record, state=BatchState.REGISTERING, plan=Plan())
    stalled = await finder.records.claim_in_its_state(batch_id, holder="stalled")
    assert stalled is not None
    await finder.skipped.add(batch_id, [Skipped(path=f"{finder.top}/x", reason="link", detail="")])
    with pytest.raises(LeaseLost):
        await register_some(finder.runtime, stalled, Tenure(0.0), no_bytes())
    assert await finder.listed(batch_id) == [("x", "link")]


@pytest.mark.parametrize("if_exists", IfExists)
async def test_plan_lists_a_name_that_is_taken_only_if_its_delivery_would_fail(
    finder: Finder, if_exists: IfExists
) -> None:
    finder.touch("run/a", "run/b")
    facts = await finder.target.probe("earlier", may_write)
    await finder.seen_targets.note_first(
        finder.target.fingerprint, TARGET, facts, abilities=finder.target.abilities, last_seconds=3600
    )
    (finder.bench.delivered / "run").mkdir()
    (finder.bench.delivered / "run" / "a").touch()
    to = BatchTarget(target=TARGET, prefix="", if_exists=if_exists)
    batch = await finder.run(await finder.ask("run", deliver_to=(to,), dry_run=True))
    assert batch.plan is not None
    assert (batch.state, batch.plan.files, batch.plan.existing) == (BatchState.PLANNED, 2, {TARGET: 1})
    listed = [("run/a", SkipReason.NAME_EXISTS)] if if_exists is IfExists.FAIL else []
    assert await finder.listed(batch.id) == listed


async def test_update_tells_of_files_that_vanished_whichever_target_has_them(finder: Finder) -> None:
    finder.touch("run/first", "run/second", "run/both", "run/stays")
    await finder.deliver("run/first", TARGET)
    await finder.deliver("run/second", "mirror")
    await finder.deliver("run/both", TARGET, "mirror")
    await finder.deliver("run/stays", "mirror")
    for name in ("first", "second", "both"):
        (finder.top / "run" / name).unlink()
    to = (TO_DISK, replace(TO_DISK, target="mirror"), replace(TO_DISK, target="mirror", prefix="again"))
    batch_id = await finder.ask("run", deliver_to=to, update=True)
    await finder.run(batch_id)
    vanished = {f"run/{name}": SkipReason.VANISHED for name in ("both", "first", "second")}
    assert dict(await finder.listed(batch_id)) == vanished
    details = {one.path: one.detail for one in await finder.skipped.page(batch_id, limit=9, after=None)}
    assert f"{TARGET}, mirror" in details[f"{finder.top}/run/both"]


async def test_pages_of_vanished_files_leave_none_out(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.batches.earlier_deliveries.PATHS_A_LOOK", 2)
    finder.touch(*(f"run/{n}" for n in range(9)))
    for n in range(9):
        await finder.deliver(f"run/{n}", *([TARGET] if n % 3 else [TARGET, "mirror"]))
    for n in range(9):
        (finder.top / "run" / str(n)).unlink()
    batch_id = await finder.ask("run", deliver_to=(TO_DISK, replace(TO_DISK, target="mirror")), update=True)
    await finder.run(batch_id)
    assert await finder.listed(batch_id) == [(f"run/{n}", SkipReason.VANISHED) for n in range(9)]


async def test_file_system_that_is_away_makes_no_file_vanish(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> os.stat_result:
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    finder.touch("run/a")
    await finder.deliver("run/a", TARGET)
    batch_id = await finder.ask("run", deliver_to=(TO_DISK,), update=True)
    row = finder.records.rows[batch_id]
    row.record = replace(row.record, position=Position(source=0, vanished=True))
    with monkeypatch.context() as patch:
        patch.setattr("gridhaul.source.presence.os.stat", away)
        with pytest.raises(SourceUnavailable):
            await finder.run(batch_id)
    assert await finder.listed(batch_id) == []

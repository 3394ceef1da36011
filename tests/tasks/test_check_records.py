"""Checks find and repair records that contradict each other or stand still, and differences at targets."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.checking.objects import MongoObjects
from gridhaul.storage.connect import Database, Document
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.targets_file import ConfiguredTargets
from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.checks import CheckKind, CheckState, Mode
from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.findings import FindingCode, Outcome
from gridhaul.transfer.inspection import not_shown
from gridhaul.transfer.model import Evidence, File, NewDelivery, Receipt, RecordId, RemoteObject
from gridhaul.transfer.naming import MARKER
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tasks.delivering.known_targets import KnownTargets
from tasks.run_check import check_some
from tests.contracts.bytes_to_store import some_bytes
from tests.contracts.memory_seen_targets import MemorySeenTargets
from tests.contracts.ports import destination, from_path, new_file
from tests.targets.deliveries import may_write
from tests.tasks.check_bench import SWEEP_SECONDS, CheckBench, check_bench
from tests.tasks.worker_parts import only

LENGTH = 1000
LONG_AGO = datetime.now(UTC) - timedelta(seconds=SWEEP_SECONDS * 3)


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[CheckBench]:
    async with check_bench(database, tmp_path) as bench:
        yield bench


async def codes(bench: CheckBench, mode: Mode = Mode.REPORT, **order: Any) -> list[tuple[str, str]]:
    check = await bench.check(mode=mode, **order)
    return [(finding.code.value, finding.outcome.value) for finding in check.findings]


async def change(bench: CheckBench, collection: str, record_id: str, changes: Document) -> None:
    changed = await bench.database[collection].update_one({"_id": ObjectId(record_id)}, changes)
    assert changed.matched_count == 1


async def document(bench: CheckBench, collection: str, record_id: str) -> Document:
    found = await bench.database[collection].find_one({"_id": ObjectId(record_id)})
    assert found is not None
    return found


async def test_stored_file_without_its_content(bench: CheckBench) -> None:
    file, content = await bench.stored(LENGTH)
    await bench.database["contents"].delete_one({"_id": ObjectId(content.id)})
    assert await codes(bench) == [("content_missing", "found")]
    assert await codes(bench, Mode.REPAIR, file_id=file.id) == [("content_missing", "not_repaired")]


@pytest.mark.parametrize("change_of", [{"length": 7}, {"sha256": "0" * 64}, {"manifest_root": "0" * 64}])
async def test_file_and_content_that_disagree(bench: CheckBench, change_of: Document) -> None:
    file, _ = await bench.stored(LENGTH)
    await change(bench, "files", file.id, {"$set": change_of})
    assert await codes(bench, Mode.REPAIR) == [("content_mismatch", "not_repaired")]


async def test_member_of_a_batch_that_waits_for_its_turn_is_no_fault(bench: CheckBench) -> None:
    member = replace(new_file(), batch_id=RecordId("b" * 24))
    waiting, _ = await bench.files.register(member)
    lost, _ = await bench.files.register(replace(from_path(member, path="/srv/other.h5"), name="other.h5"))
    await change(bench, "files", lost.id, {"$set": {"state": "STORING", "lease_until": LONG_AGO}})
    before = [await document(bench, "files", file_id) for file_id in (waiting.id, lost.id)]
    assert await codes(bench, Mode.REPAIR) == []
    assert [await document(bench, "files", file_id) for file_id in (waiting.id, lost.id)] == before


async def test_deletion_of_a_member_that_nobody_is_told_of_is_put_on_the_agenda(bench: CheckBench) -> None:
    file, _ = await bench.files.register(replace(new_file(), batch_id=RecordId("b" * 24)))
    await change(bench, "files", file.id, {"$set": {"state": "DELETING", "queue": "maintenance"}})
    assert await codes(bench, Mode.REPAIR) == [("off_agenda", "repaired")]
    assert "hint_at" in await document(bench, "files", file.id)


async def test_stale_lease_is_taken_away_and_its_record_due(bench: CheckBench) -> None:
    file, _ = await bench.files.register(new_file())
    stale = {"state": "STORING", "lease_until": LONG_AGO}
    await change(bench, "files", file.id, {"$set": stale, "$unset": {"hinted_at": "", "hint_at": ""}})
    assert await codes(bench) == [("lease_stale", "found")]
    assert await codes(bench, Mode.REPAIR) == [("lease_stale", "repaired")]
    found = await document(bench, "files", file.id)
    assert "lease_until" not in found
    assert "hint_at" in found
    assert await codes(bench) == []


@pytest.mark.parametrize("seconds", [-5, 3600])
async def test_lease_that_ended_just_now_or_lives_is_left_alone(bench: CheckBench, seconds: int) -> None:
    lease_until = datetime.now(UTC) + timedelta(seconds=seconds)
    file, _ = await bench.files.register(new_file())
    leased = {"state": "STORING", "lease_until": lease_until, "hint_at": lease_until}
    await change(bench, "files", file.id, {"$set": leased, "$unset": {"hinted_at": ""}})
    assert await codes(bench, Mode.REPAIR) == []


async def test_lease_that_a_paused_delivery_leaves_to_nobody_is_none_that_is_stale(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    deliveries = bench.deliveries
    delivery, _ = await deliveries.open(of(file, "run.h5"))
    taken = await deliveries.claim(delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING)
    assert taken is not None
    await deliveries.renew(taken.lease, final_touched=True, leftovers=("run.h5",))
    await deliveries.move(delivery.id, DELIVERY_MOVES[Action.PAUSE])
    await change(bench, "deliveries", delivery.id, {"$set": {"lease_until": LONG_AGO}})
    assert await codes(bench, Mode.REPAIR) == []


async def test_record_on_nobodys_agenda_is_put_on_it(bench: CheckBench) -> None:
    file, _ = await bench.files.register(new_file())
    delivery, _ = await bench.deliveries.open(of(file, "run.h5"))
    content_id = bench.runtime.contents.new_id()
    await bench.database["contents"].insert_one({"_id": ObjectId(content_id), "state": "DELETING"})
    for collection, record_id in (("files", file.id), ("deliveries", delivery.id)):
        await change(bench, collection, record_id, {"$unset": {"hinted_at": "", "hint_at": ""}})
    assert await codes(bench) == [("off_agenda", "found")] * 3
    assert await codes(bench, file_id=file.id) == [("off_agenda", "found")] * 2
    assert await codes(bench, Mode.REPAIR) == [("off_agenda", "repaired")] * 3
    assert "hint_at" in await document(bench, "contents", content_id)
    assert await codes(bench) == []


async def test_claim_of_a_delivery_that_is_over_is_ended(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    delivery = await delivered(bench, file, "run.h5")
    claim = {"target": "disk", "name": "run.h5"}
    await change(bench, "deliveries", delivery, {"$set": {"claimed": claim}})
    assert await codes(bench) == [("claim_stale", "found")]
    assert await codes(bench, Mode.REPAIR) == [("claim_stale", "repaired")]
    assert "claimed" not in await document(bench, "deliveries", delivery)


async def test_claim_on_a_name_that_is_to_be_cleaned_is_left_alone(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    delivery = await delivered(bench, file, "run.h5")
    kept = {"claimed": {"target": "disk", "name": "run.h5"}, "leftovers": ["run.h5"], "state": "FAILED"}
    await change(bench, "deliveries", delivery, {"$set": {**kept, "hint_at": LONG_AGO, "next_attempt_at": LONG_AGO}})
    assert await codes(bench, Mode.REPAIR) == []


def of(file: File, name: str) -> NewDelivery:
    to = destination("disk", object_name=name)
    sha256 = file.sha256 or "0" * 64
    return NewDelivery(file_id=file.id, owner="o", destination=to, length=file.length, sha256=sha256, queue=file.queue)


async def delivered(bench: CheckBench, file: File, name: str, *, evidence: Evidence = Evidence.READ_BACK) -> RecordId:
    """Make a finished delivery and its object; return the delivery's id."""
    delivery, _ = await bench.deliveries.open(of(file, name))
    taken = await bench.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await bench.deliveries.hold_name(taken.lease, name)
    receipt = Receipt(
        length=file.length,
        sha256=file.sha256 or "",
        manifest_root="",
        target="disk",
        object_name=name,
        location=name,
        evidence=evidence,
        atomic_commit=True,
        attempts=1,
    )
    await bench.deliveries.finish(taken.lease, DeliveryState.DELIVERED, receipt=receipt)
    path = bench.disk / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(some_bytes(file.length))
    return delivery.id


async def test_object_that_is_there_gives_no_finding(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    await delivered(bench, file, "deep/run.h5")
    assert await codes(bench, read_targets=True) == []


async def test_object_that_is_gone_is_missing(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    delivery = await delivered(bench, file, "deep/run.h5")
    (bench.disk / "deep" / "run.h5").unlink()
    check = await bench.check(mode=Mode.REPAIR)
    (finding,) = check.findings
    where = (finding.code, finding.delivery_id, finding.target, finding.name, finding.outcome)
    assert where == ("object_missing", delivery, "disk", "deep/run.h5", "not_repaired")


async def test_object_of_another_length_differs(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    await delivered(bench, file, "run.h5")
    (bench.disk / "run.h5").write_bytes(b"short")
    assert await codes(bench) == [("object_differs", "found")]


class TellingTarget(DirectoryTarget):
    """A directory target that tells the digests of its objects."""

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        read = await self.read_back(name, length=length, sha256="", checked=not_shown)
        return read and replace(read, evidence=Evidence.REMOTE_DIGEST)


async def test_object_of_other_bytes_differs_where_they_are_read_or_a_digest_is_reported(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    await delivered(bench, file, "run.h5")
    (bench.disk / "run.h5").write_bytes(b"x" * LENGTH)
    assert await codes(bench) == []
    assert await codes(bench, read_targets=True) == [("object_differs", "found")]
    bench.runtime = replace(bench.runtime, targets=only(TellingTarget(name="disk", path=bench.disk)))
    assert await codes(bench) == [("object_differs", "found")]


class LyingTarget(TellingTarget):
    """A directory target that tells wrong lengths and digests."""

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        return RemoteObject(length=length + 1, sha256="0" * 64, evidence=Evidence.REMOTE_DIGEST)


async def test_object_does_not_differ_only_because_the_target_says_so(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    await delivered(bench, file, "run.h5")
    bench.runtime = replace(bench.runtime, targets=only(LyingTarget(name="disk", path=bench.disk)))
    assert await codes(bench) == []
    (bench.disk / "run.h5").write_bytes(b"x" * LENGTH)
    assert await codes(bench) == [("object_differs", "found")]


async def test_object_that_a_later_delivery_replaced_is_not_asked_for(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    other, _ = await bench.stored(LENGTH + 1, name="other")
    await delivered(bench, file, "run.h5")
    await delivered(bench, other, "run.h5")
    assert await codes(bench, read_targets=True) == []


async def test_target_that_does_not_answer_is_said_once(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    for name in ("one", "two"):
        await delivered(bench, file, name)
        (bench.disk / name).unlink()
    bench.disk.rmdir()
    check = await bench.check()
    assert [(one.code, one.target, one.name) for one in check.findings] == [
        ("target_silent", "disk", None),
        ("target_silent", "disk", ""),
    ]


async def test_objects_on_a_disk_that_is_away_are_not_called_missing(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    await delivered(bench, file, "run.h5")
    disk, seen = DirectoryTarget(name="disk", path=bench.disk), MemorySeenTargets()
    facts = await disk.probe(f".gridhaul-{'a' * 24}-1~", may_write)
    await seen.note_first(disk.fingerprint, "disk", facts, abilities=disk.abilities, last_seconds=3600)
    bench.runtime = replace(bench.runtime, targets=KnownTargets(ConfiguredTargets({"disk": lambda: disk}), seen))
    assert await codes(bench, Mode.REPAIR) == []
    assert (bench.disk / MARKER).exists()
    bench.disk.rename(bench.disk.with_name("away"))
    bench.disk.mkdir()
    assert await codes(bench, Mode.REPAIR) == [("target_silent", "not_repaired"), ("target_silent", "not_repaired")]
    assert list(bench.disk.iterdir()) == []


async def test_temporary_object_of_a_delivery_that_is_over_is_removed(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    delivery = await delivered(bench, file, "deep/run.h5")
    ours, unknown = f"deep/.gridhaul-{delivery}-1.part", f"deep/.gridhaul-{'a' * 24}-1.part"
    for name in (ours, unknown):
        (bench.disk / name).write_bytes(b"part")
    assert await codes(bench) == []  # the delivery ended too short a time ago
    await change(bench, "deliveries", delivery, {"$set": {"ended_at": LONG_AGO}})
    check = await bench.check()
    assert [(one.code, one.name) for one in check.findings] == [("temporary_left", ours)]
    assert await codes(bench, Mode.DRY_RUN, file_id=file.id) == [("temporary_left", "would_repair")]
    assert (bench.disk / ours).exists()
    assert await codes(bench, Mode.REPAIR) == [("temporary_left", "repaired")]
    assert not (bench.disk / ours).exists()
    assert (bench.disk / unknown).exists()
    assert (bench.disk / "deep/run.h5").read_bytes() == some_bytes(LENGTH)


async def test_every_folder_with_a_delivery_is_looked_into_once(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    folders = ["", "a", "a/b", "a-b", "a/b/c", "ä"]
    left = []
    for folder in folders:
        for name in ("one.h5", "two.h5"):
            delivery = await delivered(bench, file, f"{folder}/{name}".lstrip("/"))
        await change(bench, "deliveries", delivery, {"$set": {"ended_at": LONG_AGO}})
        left.append(f"{folder}/.gridhaul-{delivery}-1.part".lstrip("/"))
        (bench.disk / left[-1]).write_bytes(b"part")
    for file_id in (None, file.id):
        check = await bench.check(file_id=file_id)
        assert sorted(one.name or "" for one in check.findings) == sorted(left)


async def test_database_that_does_not_answer_is_no_silent_target(
    bench: CheckBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("The database does not answer as it should; try again.")

    file, _ = await bench.stored(LENGTH)
    delivery = await delivered(bench, file, "run.h5")
    (bench.disk / f".gridhaul-{delivery}-1.part").write_bytes(b"part")
    check = await bench.start()
    with monkeypatch.context() as patched:
        patched.setattr(MongoObjects, "over_long_ago", fail)
        await check_some(bench.runtime, check.id)
    cut_short = await bench.now(check)
    assert (cut_short.found, cut_short.state) == (0, CheckState.RUNNING)
    assert cut_short.error is not None
    assert cut_short.error.code == "database_unavailable"


async def test_check_of_a_file_that_is_not_there_never_becomes_one_of_everything(bench: CheckBench) -> None:
    await bench.stored(LENGTH)
    check = await bench.start(mode=Mode.REPAIR, file_id=RecordId("f" * 24))
    await check_some(bench.runtime, check.id)
    failed = await bench.now(check)
    assert (failed.state, failed.checked_bytes) == (CheckState.FAILED, 0)
    assert failed.error is not None
    assert failed.error.code == "not_found"


@pytest.mark.parametrize("still", [{"state": "STREAMING"}, {"leftovers": ["a"], "hint_at": LONG_AGO}])
async def test_temporary_object_that_is_in_use_or_will_be_cleaned_is_left_alone(
    bench: CheckBench, still: Document
) -> None:
    file, _ = await bench.stored(LENGTH)
    delivery = await delivered(bench, file, "run.h5")
    (bench.disk / f".gridhaul-{delivery}-1.part").write_bytes(b"part")
    await change(bench, "deliveries", delivery, {"$set": {"ended_at": LONG_AGO, "hinted_at": LONG_AGO, **still}})
    assert await codes(bench, Mode.REPAIR) == []


@pytest.mark.parametrize("used", [0, LENGTH - 1, 10 * LENGTH])
async def test_account_that_counts_wrongly_is_recounted_by_gc_and_fsck(bench: CheckBench, used: int) -> None:
    file, _ = await bench.stored(LENGTH)
    accounts = MongoAccounts(bench.database)
    await accounts.create(NewAccount(username="another", scopes=()))
    account = await accounts.create(NewAccount(username=file.owner, scopes=()))
    await change(bench, "auth", account.id, {"$set": {"used_bytes": used, "charged_at": LONG_AGO}})
    assert await codes(bench) == [("usage_wrong", "found")]
    assert await codes(bench, file_id=file.id) == []
    check = await bench.check(CheckKind.GC, Mode.REPAIR)
    (finding,) = check.findings
    assert (finding.code, finding.outcome, finding.name) == (FindingCode.USAGE_WRONG, Outcome.REPAIRED, file.owner)
    assert finding.detail == f"It counts {used} bytes; its files take {LENGTH}."
    assert (await document(bench, "auth", account.id))["used_bytes"] == LENGTH
    assert await codes(bench) == []


async def test_account_that_was_charged_just_now_is_not_recounted(bench: CheckBench) -> None:
    file, _ = await bench.stored(LENGTH)
    await MongoAccounts(bench.database).create(NewAccount(username=file.owner, scopes=()))
    await bench.runtime.usage.charge(file.owner, 10 * LENGTH)
    assert await codes(bench, Mode.REPAIR) == []

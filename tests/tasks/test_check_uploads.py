"""gc aborts uploads that deliveries have begun and no record names, and no others. The S3 servers are real."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from bson import ObjectId

from gridhaul.embedded.network import HOST, free_ports
from gridhaul.storage.checking.uploads import MongoBegunUploads
from gridhaul.storage.connect import Database
from gridhaul.storage.schema import make_registry_indexes
from gridhaul.targets.s3.target import S3Target
from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.checks import Check, CheckKind, Mode
from gridhaul.transfer.errors import OutcomeUnknown
from gridhaul.transfer.findings import FindingCode, Outcome
from gridhaul.transfer.model import Delivery, Stage
from gridhaul.transfer.ports.targets import UnfinishedUpload
from gridhaul.transfer.states import DELIVERABLE, DeliveryState
from tests.contracts.ports import destination, new_delivery
from tests.servers.moto_s3 import moto_s3
from tests.servers.rclone_s3 import S3Server, rclone_s3
from tests.servers.seaweedfs import WRITER, WRITER_SECRET, seaweedfs
from tests.tasks.check_bench import CheckBench, check_bench
from tests.tasks.worker_parts import known

NAME = "deep/run.h5"
TARGET = "bucket"
HOUR = timedelta(hours=1)


SERVERS = {"seaweedfs": seaweedfs, "rclone": rclone_s3, "moto": moto_s3}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], S3Server]]:
    """Yield a function that gives servers, which start when they are first asked for."""
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(SERVERS[kind](tmp_path_factory.mktemp(kind))))


@pytest.fixture
async def bench(database: Database, tmp_path: Path) -> AsyncIterator[CheckBench]:
    async with check_bench(database, tmp_path) as bench:
        yield bench


@asynccontextmanager
async def using(bench: CheckBench, server: S3Server, **changes: str) -> AsyncIterator[S3Target]:
    """Let the bench have a target at the server; `changes` are those of its section."""
    folder = bench.disk.parent
    section = {"endpoint": server.url, "bucket": server.bucket, "prefix": bench.database.name}
    section |= {"key": server.access_key_id, "secret": server.secret_access_key, **changes}
    for credential in ("key", "secret"):
        (folder / credential).write_text(section.pop(credential))
    lines = [f'{name} = "{value}"' for name, value in section.items()]
    lines += [f'access_key_id = {{ file = "{folder}/key" }}', f'secret_access_key = {{ file = "{folder}/secret" }}']
    configured = folder / "more.toml"
    configured.write_text("\n".join([f'[targets.{TARGET}]\nkind = "s3"', *lines, ""]))
    targets = load_targets(configured)
    bench.runtime = replace(bench.runtime, targets=known(targets))
    target = targets.get(TARGET)
    assert isinstance(target, S3Target)
    yield target
    await targets.close()


@pytest.fixture(params=["seaweedfs", "rclone"])
async def target(
    request: pytest.FixtureRequest, servers: Callable[[str], S3Server], bench: CheckBench
) -> AsyncIterator[S3Target]:
    """Yield a target whose server tells when uploads were begun."""
    async with using(bench, servers(request.param)) as target:
        yield target


async def claimed(bench: CheckBench, name: str = NAME, target: str = TARGET) -> Delivery:
    """Return a delivery that a worker has just claimed, and that holds its name."""
    delivery, _ = await bench.deliveries.open(new_delivery(destination(target, object_name=name)))
    taken = await bench.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await bench.deliveries.hold_name(taken.lease, name)
    return taken


def stage_of(delivery: Delivery, name: str = NAME) -> Stage:
    temporary = f".gridhaul-{delivery.id}-{delivery.fence}.part"
    return Stage(name=temporary, final_name=name, generation=delivery.fence, length=9)


async def released(bench: CheckBench, delivery: Delivery) -> None:
    await bench.deliveries.release(delivery.lease, DeliveryState.QUEUED, delay_seconds=0)


async def gc(bench: CheckBench, mode: Mode = Mode.REPAIR, *, sweep_seconds: float = 0) -> Check:
    uploads = MongoBegunUploads(bench.database, sweep_seconds=sweep_seconds)
    bench.runtime = replace(bench.runtime, checking=replace(bench.runtime.checking, uploads=uploads))
    return await bench.check(CheckKind.GC, mode)


async def ids_at(target: S3Target) -> list[str]:
    return [upload.upload_id for upload in await target.unfinished()]


async def test_upload_that_no_record_names_is_shown_and_then_aborted(bench: CheckBench, target: S3Target) -> None:
    delivery = await claimed(bench)
    lost, named = [await target.begin(stage_of(delivery)) for _ in range(2)]
    await bench.deliveries.renew(delivery.lease, stage=named)
    await released(bench, delivery)
    for mode, outcome in ((Mode.DRY_RUN, Outcome.WOULD_REPAIR), (Mode.REPAIR, Outcome.REPAIRED)):
        assert lost.upload_id in await ids_at(target)
        (finding,) = (await gc(bench, mode)).findings
        assert (finding.code, finding.outcome) == (FindingCode.UPLOAD_LEFT, outcome)
        assert (finding.delivery_id, finding.file_id) == (delivery.id, delivery.file_id)
        assert (finding.target, finding.name, finding.upload_id) == (TARGET, NAME, lost.upload_id)
    assert await ids_at(target) == [named.upload_id]
    assert (await gc(bench)).found == 0
    await target.abandon(named)


async def test_two_uploads_under_one_name_are_two_findings_and_abort_twice_is_success(
    bench: CheckBench, target: S3Target
) -> None:
    delivery = await claimed(bench)
    for _ in range(2):
        await target.begin(stage_of(delivery))
    await released(bench, delivery)
    left = await target.unfinished()
    assert (await gc(bench)).counts == {"upload_left": 2}
    assert await ids_at(target) == []
    for upload in left:
        await target.abort(upload)


async def test_upload_of_somebody_else_is_never_touched(bench: CheckBench, target: S3Target) -> None:
    """The first name is that of no delivery; the second is that of a delivery to another target."""
    delivery = await claimed(bench)
    theirs = await target.begin(stage_of(delivery, "theirs/run.h5"))
    await released(bench, await claimed(bench, "elsewhere/run.h5", target="other"))
    elsewhere = await target.begin(stage_of(delivery, "elsewhere/run.h5"))
    await released(bench, delivery)
    uploads = MongoBegunUploads(bench.database, sweep_seconds=0)
    assert await uploads.orphaned(TARGET, await target.unfinished()) == []
    for stage in (theirs, elsewhere):
        await target.abandon(stage)


@pytest.mark.parametrize("changes", [{"created_at": HOUR}, {"created_at": -2 * HOUR, "ended_at": -HOUR}])
async def test_upload_from_before_or_after_the_delivery_is_somebody_elses(
    bench: CheckBench, target: S3Target, changes: dict[str, timedelta]
) -> None:
    delivery = await claimed(bench)
    stage = await target.begin(stage_of(delivery))
    await bench.deliveries.finish(delivery.lease, DeliveryState.CANCELLED)
    assert (await gc(bench, Mode.DRY_RUN)).found == 1
    ended = (await bench.deliveries.get(delivery.id) or delivery).ended_at
    assert isinstance(ended, datetime)
    moved = {field: ended + by for field, by in changes.items()}
    await bench.database["deliveries"].update_one({"_id": ObjectId(delivery.id)}, {"$set": moved})
    assert (await gc(bench)).found == 0
    await target.abandon(stage)


async def test_upload_that_is_young_waits_for_the_next_gc(bench: CheckBench, target: S3Target) -> None:
    delivery = await claimed(bench)
    await target.begin(stage_of(delivery))
    await released(bench, delivery)
    assert (await gc(bench, sweep_seconds=60)).found == 0
    aged = [replace(upload, age_seconds=61.0) for upload in await target.unfinished()]
    await bench.database["deliveries"].update_one(
        {"_id": ObjectId(delivery.id)}, {"$set": {"created_at": delivery.created_at - 2 * HOUR}}
    )
    uploads = MongoBegunUploads(bench.database, sweep_seconds=60)
    assert [one.upload for one in await uploads.orphaned(TARGET, aged)] == aged
    untold = [replace(upload, age_seconds=None) for upload in aged]
    assert await uploads.orphaned(TARGET, untold) == []
    assert (await gc(bench)).repaired == 1


async def test_upload_whose_id_a_worker_may_be_about_to_note_is_left_alone(bench: CheckBench, target: S3Target) -> None:
    """With SWEEP_SECONDS=0 nothing but the lease protects an upload between its beginning and its note."""
    delivery = await claimed(bench)
    await bench.deliveries.renew(delivery.lease, stage=stage_of(delivery))
    stage = await target.begin(stage_of(delivery))
    assert (await gc(bench)).found == 0
    await bench.deliveries.renew(delivery.lease, stage=stage)
    assert (await gc(bench)).found == 0
    assert await ids_at(target) == [stage.upload_id]
    await target.abandon(stage)


async def test_upload_that_another_target_of_the_same_bucket_names_is_left_alone(
    bench: CheckBench, target: S3Target
) -> None:
    ours, theirs = await claimed(bench), await claimed(bench, target="the same bucket")
    stage = await target.begin(stage_of(theirs))
    await bench.deliveries.renew(theirs.lease, stage=stage)
    for one in (ours, theirs):
        await released(bench, one)
    assert (await gc(bench)).found == 0
    assert await ids_at(target) == [stage.upload_id]
    await target.abandon(stage)


async def test_server_that_tells_no_true_age_keeps_all_uploads(
    bench: CheckBench, servers: Callable[[str], S3Server]
) -> None:
    """moto tells one time of many years ago for all uploads, so none of them is from a delivery's time."""
    async with using(bench, servers("moto")) as target:
        delivery = await claimed(bench)
        stage = await target.begin(stage_of(delivery))
        await released(bench, delivery)
        assert (await gc(bench)).found == 0
        assert await ids_at(target) == [stage.upload_id]
        await target.abandon(stage)


async def test_credentials_that_may_not_list_uploads_are_no_fault(
    bench: CheckBench, servers: Callable[[str], S3Server]
) -> None:
    async with using(bench, servers("seaweedfs"), key=WRITER, secret=WRITER_SECRET) as target:
        await released(bench, await claimed(bench))
        with pytest.raises(OutcomeUnknown, match="does not list uploads"):
            await target.unfinished()
        assert (await gc(bench)).found == 0


async def test_target_that_is_away_is_a_finding(bench: CheckBench, servers: Callable[[str], S3Server]) -> None:
    async with using(bench, servers("seaweedfs"), endpoint=f"http://{HOST}:{free_ports(1)[0]}"):
        await released(bench, await claimed(bench))
        (finding,) = (await gc(bench)).findings
    assert (finding.code, finding.target, finding.outcome) == ("target_silent", TARGET, Outcome.NOT_REPAIRED)
    assert finding.why_not == "Its unfinished uploads were not looked for."


async def test_target_without_uploads_or_without_a_section_is_passed_over(bench: CheckBench) -> None:
    for target in ("disk", "gone"):
        await released(bench, await claimed(bench, target=target))
    assert (await gc(bench)).found == 0


async def test_deliveries_are_found_by_indexes(bench: CheckBench) -> None:
    await make_registry_indexes(bench.database)
    many = [{"target": TARGET, "final_name": f"{n}", "stage": {"upload_id": f"{n}"}} for n in range(200)]
    await bench.database["deliveries"].insert_many(many)
    uploads = [UnfinishedUpload(name=NAME, upload_id=f"u{n}", age_seconds=0.0) for n in range(3)]
    await bench.database.command("profile", 2)
    found = MongoBegunUploads(bench.database, sweep_seconds=0)
    assert await found.next_target(after="") == TARGET
    assert await found.next_target(after=TARGET) is None
    assert await found.orphaned(TARGET, uploads) == []
    await bench.database.command("profile", 0)
    reads = [read async for read in bench.database["system.profile"].find({"op": "query"})]
    assert len(reads) == 2 + 1 + len(uploads)
    assert all("IXSCAN" in read["planSummary"] and read["docsExamined"] <= 1 for read in reads), reads

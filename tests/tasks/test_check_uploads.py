"""gc aborts uploads that deliveries have begun and no record names, and no others. The S3 servers are real."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

import pytest

from gridhaul.embedded.network import HOST, free_ports
from gridhaul.storage.checking.uploads import MongoBegunUploads
from gridhaul.storage.connect import Database, Document
from gridhaul.storage.schema import make_registry_indexes
from gridhaul.targets.s3 import bucket
from gridhaul.targets.s3.target import S3Target
from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.checks import Check, CheckKind, Mode
from gridhaul.transfer.errors import OutcomeUnknown
from gridhaul.transfer.findings import FindingCode, Outcome
from gridhaul.transfer.model import Delivery, Lease, Stage
from gridhaul.transfer.ports.targets import UnfinishedUpload
from gridhaul.transfer.states import DELIVERABLE, DeliveryState
from tasks.checking import uploads
from tests.contracts.ports import destination, new_delivery
from tests.folders import NewFolder
from tests.servers.http_store import CannedAnswer, http_store
from tests.servers.moto_s3 import moto_s3
from tests.servers.rclone_s3 import S3Server, rclone_s3
from tests.servers.seaweedfs import WRITER, WRITER_SECRET, seaweedfs
from tests.targets.deliveries import unfinished_at
from tests.tasks.check_bench import CheckBench, check_bench
from tests.tasks.worker_parts import known

NAME = "deep/run.h5"
TARGET = "bucket"


SERVERS = {"seaweedfs": seaweedfs, "rclone": rclone_s3, "moto": moto_s3}


@pytest.fixture(scope="module")
def servers(new_folder: NewFolder) -> Iterator[Callable[[str], S3Server]]:
    """Yield a function that gives servers, which start when they are first asked for."""
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(SERVERS[kind](stack.enter_context(new_folder(kind)))))


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
    """Return a delivery that a worker has just claimed, that holds its name, and is about to begin an upload."""
    delivery, _ = await bench.deliveries.open(new_delivery(destination(target, object_name=name)))
    taken = await bench.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await bench.deliveries.hold_name(taken.lease, name)
    await bench.deliveries.note_upload(taken.lease)
    return taken


def stage_of(delivery: Delivery, name: str = NAME) -> Stage:
    temporary = f".gridhaul-{delivery.id}-{delivery.fence}.part"
    return Stage(name=temporary, final_name=name, generation=delivery.fence, length=9)


async def now(bench: CheckBench, delivery: Delivery) -> Delivery:
    found = await bench.deliveries.get(delivery.id)
    assert found is not None
    return found


async def released(bench: CheckBench, delivery: Delivery) -> None:
    await bench.deliveries.release(delivery.lease, DeliveryState.QUEUED, delay_seconds=0)


def use(bench: CheckBench, begun_uploads: MongoBegunUploads) -> None:
    bench.runtime = replace(bench.runtime, checking=replace(bench.runtime.checking, uploads=begun_uploads))


async def gc(bench: CheckBench, mode: Mode = Mode.REPAIR, *, sweep_seconds: float = 0) -> Check:
    use(bench, MongoBegunUploads(bench.database, sweep_seconds=sweep_seconds))
    return await bench.check(CheckKind.GC, mode)


async def ids_at(target: S3Target) -> list[str]:
    return [upload.upload_id for upload in await unfinished_at(target)]


async def begun(
    bench: CheckBench, uploads: Sequence[UnfinishedUpload], *, sweep_seconds: float = 0, late_seconds: float = 0
) -> Sequence[UnfinishedUpload]:
    """Return those of the uploads that deliveries have begun, if the target was asked so many seconds from now."""
    deliveries = MongoBegunUploads(bench.database, sweep_seconds=sweep_seconds)
    asked_at = await deliveries.now() + timedelta(seconds=late_seconds)
    return [one.upload for one in await deliveries.begun(TARGET, uploads, asked_at=asked_at)]


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
    left = await unfinished_at(target)
    assert (await gc(bench)).counts == {"upload_left": 2}
    assert await ids_at(target) == []
    for upload in left:
        await target.abort(upload)  # some servers say that it is there, others that it is not


async def test_upload_of_somebody_else_is_never_touched(bench: CheckBench, target: S3Target) -> None:
    """The first name is that of no delivery; the second is that of a delivery to another target."""
    delivery = await claimed(bench)
    theirs = await target.begin(stage_of(delivery, "theirs/run.h5"))
    await released(bench, await claimed(bench, "elsewhere/run.h5", target="other"))
    elsewhere = await target.begin(stage_of(delivery, "elsewhere/run.h5"))
    await released(bench, delivery)
    assert await begun(bench, await unfinished_at(target)) == []
    for stage in (theirs, elsewhere):
        await target.abandon(stage)


@pytest.mark.parametrize(("seconds_after", "ours"), [(-11, False), (-9, True), (0, True), (129, True), (131, False)])
async def test_upload_is_ours_if_it_was_begun_about_when_a_worker_noted_it(
    bench: CheckBench, seconds_after: float, ours: bool
) -> None:
    delivery = await claimed(bench)
    await released(bench, delivery)
    (noted_at,) = (await now(bench, delivery)).uploads_begun
    upload = UnfinishedUpload(name=NAME, upload_id="u", age_seconds=3600.0)
    asked_at = noted_at + timedelta(seconds=3600 + seconds_after)
    found = await MongoBegunUploads(bench.database, sweep_seconds=0).begun(TARGET, [upload], asked_at=asked_at)
    assert [one.delivery_id for one in found] == [delivery.id] * ours


async def test_upload_under_the_name_of_a_delivery_that_has_begun_none_is_somebody_elses(
    bench: CheckBench, target: S3Target
) -> None:
    """The delivery lives long before and after the upload, and is queued again, but no worker began an upload."""
    delivery, _ = await bench.deliveries.open(new_delivery(destination(TARGET, object_name=NAME)))
    taken = await bench.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    assert await bench.deliveries.hold_name(taken.lease, NAME)
    stage = await target.begin(stage_of(taken))
    await bench.deliveries.finish(taken.lease, DeliveryState.CANCELLED)
    assert (await gc(bench)).found == 0
    await bench.deliveries.open(new_delivery(destination(TARGET, object_name=NAME)))
    assert (await gc(bench)).found == 0
    assert await ids_at(target) == [stage.upload_id]
    await target.abandon(stage)


async def test_upload_of_a_delivery_that_is_queued_again_is_still_known(bench: CheckBench, target: S3Target) -> None:
    delivery = await claimed(bench)
    await target.begin(stage_of(delivery))
    await bench.deliveries.finish(delivery.lease, DeliveryState.CANCELLED)
    await bench.deliveries.open(new_delivery(destination(TARGET, object_name=NAME)))
    assert (await gc(bench)).repaired == 1
    assert await ids_at(target) == []


async def test_upload_that_is_young_waits_for_the_next_gc(bench: CheckBench, target: S3Target) -> None:
    delivery = await claimed(bench)
    await target.begin(stage_of(delivery))
    await released(bench, delivery)
    assert (await gc(bench, sweep_seconds=60)).found == 0
    aged = [replace(upload, age_seconds=61.0) for upload in await unfinished_at(target)]
    assert await begun(bench, aged, sweep_seconds=60, late_seconds=61) == aged
    untold = [replace(upload, age_seconds=None) for upload in aged]
    assert await begun(bench, untold) == []
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


class NotedMeanwhile(MongoBegunUploads):
    """A look at the records, right after whose first question the worker notes the upload's id."""

    def __init__(self, bench: CheckBench, lease: Lease, stage: Stage) -> None:
        super().__init__(bench.database, sweep_seconds=0)
        self._note = partial(bench.deliveries.renew, lease, stage=stage)

    async def _is_there(self, wanted: Document) -> bool:
        found = await super()._is_there(wanted)
        await self._note()
        return found


async def test_upload_whose_id_is_noted_while_gc_looks_is_left_alone(bench: CheckBench, target: S3Target) -> None:
    delivery = await claimed(bench)
    await bench.deliveries.renew(delivery.lease, stage=stage_of(delivery))
    stage = await target.begin(stage_of(delivery))
    use(bench, NotedMeanwhile(bench, delivery.lease, stage))
    assert (await bench.check(CheckKind.GC, Mode.REPAIR)).found == 0
    assert (await now(bench, delivery)).stage == stage
    assert await ids_at(target) == [stage.upload_id]
    await target.abandon(stage)


async def test_upload_that_a_worker_of_another_target_of_the_same_bucket_begins_is_left_alone(
    bench: CheckBench, target: S3Target
) -> None:
    await released(bench, await claimed(bench))
    theirs = await claimed(bench, target="the same bucket")
    await bench.deliveries.renew(theirs.lease, stage=stage_of(theirs))
    stage = await target.begin(stage_of(theirs))
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


async def test_credentials_that_are_wrong_are_a_finding(bench: CheckBench, servers: Callable[[str], S3Server]) -> None:
    async with using(bench, servers("seaweedfs"), key="nobody"):
        await released(bench, await claimed(bench))
        (finding,) = (await gc(bench)).findings
    assert (finding.code, finding.target, finding.outcome) == ("target_silent", TARGET, Outcome.NOT_REPAIRED)
    assert "access_key_id" in finding.detail


@pytest.mark.parametrize("kind", ["seaweedfs", "rclone"])
async def test_upload_is_found_on_whatever_page_it_is(
    bench: CheckBench, servers: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(bucket, "UPLOADS_A_PAGE", 2)
    async with using(bench, servers(kind)) as target:
        delivery = await claimed(bench)
        names = [*(f"a/{n}" for n in range(4)), NAME, *(f"z/{n}" for n in range(4))]
        stages = {name: await target.begin(stage_of(delivery, name)) for name in names}
        await released(bench, delivery)
        assert (await gc(bench)).repaired == 1
        del stages[NAME]
        assert {upload.name for upload in await unfinished_at(target)} == set(stages)
        for stage in stages.values():
            await target.abandon(stage)


async def test_listing_that_goes_round_in_circles_ends(
    bench: CheckBench, tmp_path: Path, servers: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PAGES_MOST", 5)
    with http_store(tmp_path / "store") as store:
        store.answers = [page_before(f"{n % 2}") for n in range(5)]
        async with using(bench, servers("seaweedfs"), endpoint=store.url):
            await released(bench, await claimed(bench))
            (finding,) = (await gc(bench)).findings
        assert (finding.code, finding.outcome, store.answers) == ("target_silent", Outcome.NOT_REPAIRED, [])
        assert "has no end" in finding.detail


def page_before(marker: str) -> CannedAnswer:
    """Return an empty page of a listing of uploads, and the marker of the page after it."""
    following = f"<IsTruncated>true</IsTruncated><NextKeyMarker>{marker}</NextKeyMarker>"
    return 200, {}, f"<ListMultipartUploadsResult>{following}</ListMultipartUploadsResult>".encode()


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
    listed = [UnfinishedUpload(name=f"f{n}", upload_id=f"u{n}", age_seconds=0.0) for n in range(1000)]
    await bench.database.command("profile", 2)
    found = MongoBegunUploads(bench.database, sweep_seconds=0)
    assert await found.next_target(after="") == TARGET
    assert await found.next_target(after=TARGET) is None
    assert await begun(bench, listed) == []
    assert not await found.may_be_named(listed[0])
    await bench.database.command("profile", 0)
    reads = [read async for read in bench.database["system.profile"].find({"op": "query"})]
    assert len(reads) == 2 + 1 + 2
    assert all("IXSCAN" in read["planSummary"] and read["docsExamined"] <= 1 for read in reads), reads

"""Objects of multipart uploads, which their mark tells apart from those of others. The servers are real."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from gridhaul.transfer.model import CheckedWhen, Evidence, IfExists, Stage
from gridhaul.transfer.states import DeliveryState
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import eventually
from tests.contracts.stage_places import StagePlaces, StagingTarget, stage_places
from tests.folders import NewFolder
from tests.servers.seaweedfs import WRITER, WRITER_SECRET
from tests.targets.deliveries import written
from tests.tasks.delivery_bench import NAME, Bench, code_of
from tests.tasks.worker_parts import only

DATA = some_bytes(17 * MIB)
THEIRS = b"somebody else's, and shorter"


@pytest.fixture(scope="module")
def running(new_folder: NewFolder) -> Iterator[StagePlaces]:
    with new_folder("places") as folder, stage_places(folder) as found:
        yield found


@pytest.fixture
async def target(running: StagePlaces, bench: Bench) -> AsyncIterator[StagingTarget]:
    """Yield a target that refuses taken names, and whose objects are checked after their commit."""
    async with running.new("moto")() as found:
        bench.runtime = replace(bench.runtime, targets=only(found))
        yield found


async def put_theirs(target: StagingTarget, name: str = NAME) -> None:
    await target.replace(await written(target, name, THEIRS))


async def length_at(target: StagingTarget, name: str = NAME) -> int | None:
    found = await target.find(name, length=0)
    return None if found is None else found.length


def taking(monkeypatch: pytest.MonkeyPatch, target: StagingTarget, *, before: bool) -> None:
    """Let somebody take the name right before the first commit, or right after it."""
    commit, done = target.commit, list[Stage]()

    async def raced(stage: Stage) -> None:
        done.append(stage)
        if before and len(done) == 1:
            await put_theirs(target)
        await commit(stage)
        if not before and len(done) == 1:
            await put_theirs(target)

    monkeypatch.setattr(target, "commit", raced)


async def test_object_that_takes_the_name_before_the_commit_ends_the_delivery_and_stays(
    bench: Bench, target: StagingTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking(monkeypatch, target, before=True)
    failed = await bench.deliver(DATA, "disk", attempts=2)
    assert (failed.state, code_of(failed)) == (DeliveryState.FAILED, "object_exists")
    bench.row.next_attempt_at = 0.0
    cleaned = await bench.clean(failed)
    assert (cleaned.leftovers, cleaned.stage, cleaned.cleaning_error) == ((), None, None)
    assert await length_at(target) == len(THEIRS)


async def test_object_that_takes_the_name_before_the_commit_lets_the_delivery_take_the_next_one(
    bench: Bench, target: StagingTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking(monkeypatch, target, before=True)
    delivered = await bench.deliver(DATA, "disk", if_exists=IfExists.RENAME, attempts=2)
    assert delivered.receipt is not None, delivered.error
    assert delivered.receipt.object_name == "run (1).h5"
    bench.row.next_attempt_at = 0.0
    await bench.clean(delivered)
    assert await length_at(target) == len(THEIRS)
    assert await length_at(target, "run (1).h5") == len(DATA)


async def test_object_that_replaces_ours_before_the_check_stays_when_the_delivery_is_cleaned(
    bench: Bench, target: StagingTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking(monkeypatch, target, before=False)
    failed = await bench.deliver(DATA, "disk")
    assert (failed.state, code_of(failed)) == (DeliveryState.FAILED, "target_mismatch")
    bench.row.next_attempt_at = 0.0
    cleaned = await bench.clean(failed)
    assert (cleaned.leftovers, cleaned.stage, cleaned.cleaning_error) == ((), None, None)
    assert await length_at(target) == len(THEIRS)


async def test_credentials_that_may_only_write_get_the_digests_of_parts_for_evidence(
    bench: Bench, running: StagePlaces
) -> None:
    place = running["seaweedfs"].inner()
    async with place.unprobed(**place.credentials(WRITER, WRITER_SECRET)) as target:
        bench.runtime = replace(bench.runtime, targets=only(target))
        delivered = await bench.deliver(DATA, "disk")
    assert delivered.receipt is not None, delivered.error
    assert (delivered.receipt.evidence, delivered.receipt.checked) == (
        Evidence.PART_DIGESTS,
        CheckedWhen.BEFORE_COMMIT,
    )

    async def is_there() -> bool:
        async with place.target() as reader:
            return await length_at(reader) == len(DATA)

    await eventually(is_there)

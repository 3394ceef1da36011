"""A batch is found, registered, stored and delivered, with every call failing in turn: each file arrives once."""

import asyncio
import random
from collections import Counter

import pytest

from gridhaul.transfer.batches import BATCH_MOVES, CANCEL_AND_DELETE_BATCH, Batch, BatchState, Group, Summary
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.digest import ContentDigest
from gridhaul.transfer.manifests import SumsDigest
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.skipping import SkipReason
from gridhaul.transfer.states import DELIVERABLE, STORABLE, Action, DeliveryState, FileState, Move
from tests.contracts.bytes_to_store import some_bytes
from tests.faults.every_call import AT_ONCE, Story, every_call, run_twins
from tests.faults.failing import Faults, Way
from tests.faults.twin_system import AT_REST_WITHIN_SECONDS, LARGE_FILE_BYTES, LEASE_SECONDS, Case, TwinSystem

FEWEST_CALLS = 60
AWAY_SECONDS = LEASE_SECONDS + 10
CASE = Case(data=b"")
FOLDER, PREFIX = "run", "2026"
FILES = {
    "a/empty": b"",
    "a/é.h5": some_bytes(7),
    "b/.hidden": some_bytes(CHUNK_BYTES - 1),
    "b/large.h5": some_bytes(LARGE_FILE_BYTES + 5),
}
LINK = "b/link"
BYTES = sum(len(data) for data in FILES.values())


async def _to_seen_target(system: TwinSystem) -> None:
    """Deliver a batch to a target that was probed before, so that small deliveries go together at once."""
    await system.see_target()
    await _batch(system)


async def _batch(system: TwinSystem) -> None:
    """Ask for a folder with a link beside the files. Require that each file is delivered once, and the link listed."""
    batch_id = await _asked_for(system)
    await system.rest()
    await _require_done(system, batch_id)


async def _paused_in_the_middle(system: TwinSystem) -> None:
    """Pause the batch while its files are worked on. Require that all stands still, and that all arrives afterwards."""
    await system.see_target()
    batch_id = await _asked_for(system)
    while not system.files.rows:
        await system.go_on()
    await system.go_on()
    await _act(system, batch_id, Action.PAUSE)
    while (await _now(system, batch_id)).next_attempt_at is not None:
        await system.go_on()
    batch = await _now(system, batch_id)
    assert (batch.state, batch.following, batch.error) == (BatchState.PAUSED, None, None)
    assert not [row for row in system.files.rows.values() if row.record.state in STORABLE]
    assert not [row for row in system.deliveries.rows.values() if row.record.state is DeliveryState.QUEUED]
    await _act(system, batch_id, Action.RESUME)
    await system.rest()
    await _require_done(system, batch_id)


async def _cancelled_in_the_middle(system: TwinSystem) -> None:
    """Cancel the batch while its files are worked on. Require that nothing stays open, and that the records tell so."""
    await system.see_target()
    batch_id = await _asked_for(system)
    while not system.files.rows:
        await system.go_on()
    await system.go_on()
    await _act(system, batch_id, Action.CANCEL)
    await _require_stopped(system, batch_id, BatchState.CANCELLED)


def _stopped_with_a_commit(move: Move[BatchState], following: Action | None) -> Story:
    """Stop the batch when a worker that committed a delivery is dead. Require that the delivery comes to its end."""

    async def story(system: TwinSystem) -> None:
        await system.see_target()
        batch_id = await _asked_for(system)
        while not system.deliveries.rows:
            await system.go_on()
        delivery_id = next(iter(system.deliveries.rows))
        delivery = await system.deliveries.claim(
            delivery_id, holder="killed", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
        )
        assert delivery is not None
        await system.deliveries.renew(delivery.lease, state=DeliveryState.COMMITTING)
        assert await system.batches.move(batch_id, move, following=following, followed=0) is not None
        final = BatchState.DELETED if move.to_state is BatchState.DELETING else move.to_state
        await _require_stopped(system, batch_id, final)

    return story


async def _require_stopped(system: TwinSystem, batch_id: RecordId, state: BatchState) -> None:
    """Require that the batch comes to rest in the state. Files may stay that are stored and owe deliveries."""
    deadline = asyncio.get_running_loop().time() + AT_REST_WITHIN_SECONDS
    while (await _now(system, batch_id)).next_attempt_at is not None:
        assert asyncio.get_running_loop().time() < deadline, "the batch never comes to rest"
        await system.go_on()
    batch = await _now(system, batch_id)
    assert (batch.state, batch.following, batch.error) == (state, None, None)
    assert not [row for row in system.files.rows.values() if row.record.state in STORABLE]
    states = [row.record.state for row in system.deliveries.rows.values()]
    assert not DELIVERABLE & {*states}
    assert system.target.commits == states.count(DeliveryState.DELIVERED)
    assert batch.counts is not None
    said = {name: group.count for name, group in batch.counts.deliveries.items()}
    assert said == Counter(state.value for state in states)
    assert "internal" not in system.codes, "an attempt ended with an unexpected error"


def _cancelled_late(calls: int) -> Story:
    """Retry the batch while a worker still lets the members follow a cancel: its write comes after so many others."""

    async def story(system: TwinSystem) -> None:
        await system.see_target()
        batch_id = await _asked_for(system)
        while not system.files.rows:
            await system.go_on()
        await _act(system, batch_id, Action.PAUSE)
        while (await _now(system, batch_id)).next_attempt_at is not None:
            await system.go_on()
        await _act(system, batch_id, Action.CANCEL)
        assert await system.batches.claim_in_its_state(batch_id, holder="rival") is not None
        follow, left = system.members.follow, iter(range(calls, -1, -1))

        async def rivalled(batch_id: RecordId, action: Action, *, who: str | None, limit: int) -> int:
            if next(left, None) == 0:
                assert await follow(batch_id, Action.CANCEL, who=None, limit=limit)
            return await follow(batch_id, action, who=who, limit=limit)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(system.members, "follow", rivalled)
            await _act(system, batch_id, Action.RETRY)
            await system.rest()
        assert next(left, None) is None
        await _require_done(system, batch_id)

    return story


async def _with_a_retry(system: TwinSystem) -> None:
    """Retry the batch if its target was away for too long. Require that only what failed is delivered again."""
    await system.see_target()
    batch_id = await _asked_for(system)
    await system.rest()
    failed = [row.record for row in system.deliveries.rows.values() if row.record.state is DeliveryState.FAILED]
    if failed:
        batch = await _now(system, batch_id)
        assert batch.counts is not None
        assert (batch.state, batch.counts.failures) == (BatchState.DONE, {"target_unavailable": len(failed)})
        await _act(system, batch_id, Action.RETRY)
        await system.rest()
    await _require_done(system, batch_id)


async def _without_lanes(system: TwinSystem) -> None:
    """Lose the lanes once the files are registered, as if whoever makes a member due died before it wakes a lane."""
    batch_id = await _asked_for(system)
    while not system.files.rows:
        await system.go_on()
    system.lanes.rows.clear()
    await system.rest()
    await _require_done(system, batch_id)


async def _asked_for(system: TwinSystem) -> RecordId:
    batch_id = await system.prepare_batch(FOLDER, FILES, prefix=PREFIX)
    (system.outgoing / FOLDER / LINK).symlink_to("large.h5")
    return batch_id


async def _act(system: TwinSystem, batch_id: RecordId, action: Action) -> None:
    """Do an operator's action as the api does it. The hint is lost."""
    assert await system.batches.move(batch_id, BATCH_MOVES[action], following=action, followed=0) is not None


async def _now(system: TwinSystem, batch_id: RecordId) -> Batch:
    batch = await system.batches.get(batch_id)
    assert batch is not None
    return batch


async def _require_done(system: TwinSystem, batch_id: RecordId) -> None:
    """Require that each file is delivered once, that the batch tells so, and that the account counts its bytes."""
    await _require_arrived(system, batch_id)
    await _require_told(system, await _now(system, batch_id))
    used_bytes = sum(row.record.used_bytes for row in system.files.rows.values())
    assert not system.undercounted, "the owner's account counted less than the files took"
    assert used_bytes == BYTES
    assert system.account.used_bytes == used_bytes or system.faults.any_met


async def _require_arrived(system: TwinSystem, batch_id: RecordId) -> None:
    """Require that each file was registered, stored and delivered once, with its bytes."""
    files = {row.record.source.path: row.record for row in system.files.rows.values()}
    deliveries = {row.record.file_id: row.record for row in system.deliveries.rows.values()}
    assert len(files) == len(system.files.rows) == len(deliveries) == len(system.deliveries.rows) == len(FILES)
    for name, data in FILES.items():
        file = files[str(system.outgoing / FOLDER / name)]
        delivery = deliveries[file.id]
        assert (file.state, file.error, file.batch_id) == (FileState.STORED, None, batch_id)
        assert (file.name, file.sha256) == (f"{FOLDER}/{name}", _sha256(data))
        assert (delivery.state, delivery.error, delivery.batch_id) == (DeliveryState.DELIVERED, None, batch_id)
        assert delivery.leftovers == ()
    system.target.look()
    expected = {(f"{PREFIX}/{FOLDER}/{name}", data) for name, data in FILES.items()}
    assert system.target.seen == expected, "an object with other bytes was under a final name"
    assert system.target.commits == len(FILES)
    assert not [*system.delivered.rglob(".gridhaul-*.part")]
    assert "internal" not in system.codes, "an attempt ended with an unexpected error"


async def _require_told(system: TwinSystem, batch: Batch) -> None:
    """Require that the batch says how it ended, and what it left out."""
    assert (batch.state, batch.following, batch.position) == (BatchState.DONE, None, None)
    assert batch.ended_at is not None
    assert batch.error is None
    assert batch.counts is not None
    everything = Group(count=len(FILES), bytes=BYTES)
    assert batch.counts.files == {FileState.STORED: everything}
    assert batch.counts.deliveries == {DeliveryState.DELIVERED: everything}
    assert (batch.counts.failures, batch.counts.skipped) == ({}, {SkipReason.LINK: 1})
    assert batch.summary == Summary(files=len(FILES), bytes=BYTES, sha256sums=_sums())
    (skipped,) = await system.skipped.page(batch.id, limit=10, after=None)
    assert (skipped.path, skipped.reason) == (str(system.outgoing / FOLDER / LINK), SkipReason.LINK)


def _sums() -> str:
    sums = SumsDigest()
    for name in sorted(FILES, key=str.encode):
        sums.add(f"{FOLDER}/{name}", _sha256(FILES[name]))
    return sums.hexdigest()


def _sha256(data: bytes) -> str:
    digest = ContentDigest()
    digest.update(data)
    return digest.hexdigest()


def test_without_a_fault_the_batch_is_registered_in_one_write_and_its_small_files_go_together() -> None:
    faults = Faults({})
    run_twins(CASE, faults, _to_seen_target)
    together = ("files.claim_new", "chunks.store_whole", "deliveries.claim_plain", "deliveries.finish_all")
    once = ("members.insert", *together)
    assert [faults.calls.count(name) for name in once] == [1] * len(once)
    assert (faults.calls.count("files.claim"), faults.calls.count("deliveries.claim")) == (1, 1)  # of the large file


def test_batch_itself_wakes_the_lanes_of_members_that_are_due() -> None:
    run_twins(CASE, Faults({}), _without_lanes)


@pytest.mark.parametrize("calls", range(3))
def test_worker_that_still_cancels_does_not_undo_a_retry(calls: int) -> None:
    run_twins(CASE, Faults({}), _cancelled_late(calls))


@pytest.mark.parametrize("way", AT_ONCE)
def test_any_call_may_fail(way: Way) -> None:
    assert every_call(CASE, lambda number: Faults({number: way}), _to_seen_target) > FEWEST_CALLS


def test_any_call_may_fail_with_its_worker_while_a_target_is_new() -> None:
    def dies(number: int) -> Faults:
        return Faults({number: Way.WORKER_DIES})

    assert every_call(CASE, dies, _batch) > FEWEST_CALLS


@pytest.mark.parametrize("port", ["batches", "lanes", "members", "skipped"])
def test_any_port_may_be_away_for_longer_than_a_lease(port: str) -> None:
    def away(number: int) -> Faults:
        return Faults({number: Way.AWAY}, port=port, away_seconds=AWAY_SECONDS)

    assert every_call(CASE, away, _to_seen_target)


def test_any_request_of_a_worker_that_died_may_arrive_at_a_later_call() -> None:
    draw = random.Random(1)

    def late(number: int) -> Faults:
        return Faults({number: Way.ARRIVES_LATE}, late_calls=draw.randrange(1, 40))

    assert every_call(CASE, late, _to_seen_target) > FEWEST_CALLS


@pytest.mark.parametrize("way", [Way.ANSWER_LOST, Way.WORKER_DIES])
def test_any_call_may_fail_of_a_batch_that_is_paused_in_the_middle(way: Way) -> None:
    assert every_call(CASE, lambda number: Faults({number: way}), _paused_in_the_middle) > FEWEST_CALLS


@pytest.mark.parametrize("way", [Way.ANSWER_LOST, Way.WORKER_DIES])
def test_any_call_may_fail_of_a_batch_that_is_cancelled_in_the_middle(way: Way) -> None:
    assert every_call(CASE, lambda number: Faults({number: way}), _cancelled_in_the_middle) > FEWEST_CALLS


@pytest.mark.parametrize(
    ("move", "following"),
    [
        (BATCH_MOVES[Action.PAUSE], Action.PAUSE),
        (BATCH_MOVES[Action.CANCEL], Action.CANCEL),
        (CANCEL_AND_DELETE_BATCH, Action.CANCEL),
    ],
    ids=lambda value: getattr(value, "to_state", ""),
)
def test_delivery_that_a_dead_worker_committed_comes_to_its_end_in_a_batch_that_was_stopped(
    move: Move[BatchState], following: Action
) -> None:
    run_twins(CASE, Faults({}), _stopped_with_a_commit(move, following))


def test_target_may_be_away_for_too_long_so_that_the_batch_is_retried() -> None:
    def away(number: int) -> Faults:
        return Faults({number: Way.AWAY}, port="target", away_seconds=AWAY_SECONDS)

    assert every_call(CASE, away, _with_a_retry)

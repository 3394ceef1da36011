"""Deliveries that go wrong, judged by the objects at a real target and by the record. Memory twins hold the rest."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gridhaul.targets.directory import DirectoryTarget
from gridhaul.transfer.errors import ChunkCorrupt, TargetInconsistent, TargetLocked, TargetUnavailable
from gridhaul.transfer.model import (
    Delivery,
    File,
    IfExists,
    Lease,
    RecordId,
    RemoteObject,
    Stage,
)
from gridhaul.transfer.naming import is_temporary, temporary_name
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import Blocks, Confirmed, Leaving
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.delivered import objects_in
from tests.servers.http_store import HttpStore
from tests.tasks.delivery_bench import NAME, OLD, Bench, Damaged, code_of
from tests.tasks.worker_parts import only


async def test_refused_overwrite_leaves_what_was_there(bench: Bench, web: HttpStore) -> None:
    (web.directory / NAME).write_bytes(OLD)
    web.refused_method = "PUT"
    delivery = await bench.deliver(b"new", "web", if_exists=IfExists.OVERWRITE)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "target_refused")
    assert (web.directory / NAME).read_bytes() == OLD


async def test_delivery_of_other_bytes_than_are_stored_fails_before_the_first_is_sent(
    bench: Bench, web: HttpStore
) -> None:
    delivery = await bench.open(b"new", "web")
    bench.row.record = replace(delivery, sha256="a" * 64)
    delivery = await bench.attempt(delivery)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "content_mismatch")
    assert not [request for request in web.requests if request.startswith("PUT")]


async def test_damage_found_before_the_first_byte_leaves_what_was_there(bench: Bench, web: HttpStore) -> None:
    (web.directory / NAME).write_bytes(OLD)
    bench.contents.damaged = 0
    delivery = await bench.deliver(b"new", "web", if_exists=IfExists.OVERWRITE)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "chunk_corrupt")
    assert (web.directory / NAME).read_bytes() == OLD


async def test_part_sent_under_the_final_name_is_taken_back(bench: Bench, web: HttpStore) -> None:
    bench.contents.damaged = 1
    delivery = await bench.deliver(some_bytes(3 * MIB), "web")
    assert (delivery.state, code_of(delivery), delivery.final_touched) == (DeliveryState.FAILED, "chunk_corrupt", False)
    assert not (web.directory / NAME).exists()


async def test_worker_that_lost_its_lease_touches_nothing(bench: Bench, web: HttpStore) -> None:
    """Another worker claims the record while the first bytes are on their way."""
    taken: list[Delivery | None] = []
    loop = asyncio.get_running_loop()

    class Stolen(Damaged):
        def alter(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
            yield next(chunks)
            (row,) = bench.deliveries.rows.values()
            row.lease_until = 0.0
            claiming = bench.deliveries.claim(
                row.record.id, holder="b", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
            )
            taken.append(asyncio.run_coroutine_threadsafe(claiming, loop).result(10))
            raise ChunkCorrupt("Chunk 1 is damaged.")

    bench.contents.__class__ = Stolen
    delivery = await bench.deliver(some_bytes(3 * MIB), "web")
    assert delivery == taken[0]
    assert not [request for request in web.requests if request.startswith("DELETE")]


async def test_write_only_target_is_believed_and_its_receipt_says_so(bench: Bench, web: HttpStore) -> None:
    web.write_only = True
    delivery = await bench.deliver(b"new", "web")
    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.receipt is not None
    assert (delivery.receipt.evidence, delivery.receipt.atomic_commit) == ("acknowledged", False)
    assert (web.directory / NAME).read_bytes() == b"new"


async def test_unknown_outcome_at_a_write_only_target_is_not_repeated(bench: Bench, web: HttpStore) -> None:
    web.write_only = True
    web.answers = [(405, {}), (500, {})]
    delivery = await bench.deliver(b"new", "web", attempts=2)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "outcome_unknown")


async def test_name_taken_while_the_object_was_sent_is_judged_by_the_next_probe(bench: Bench) -> None:
    class Raced(Damaged):
        def alter(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
            for chunk in chunks:
                (bench.disk / NAME).write_bytes(bench_bytes[0])
                yield chunk

    bench_bytes = [b"new"]
    bench.contents.__class__ = Raced
    ours = await bench.deliver(b"new", "disk", attempts=2)
    assert (ours.state, ours.attempts) == (DeliveryState.DELIVERED, 2)
    (bench.disk / NAME).unlink()
    bench_bytes = [OLD]
    theirs = await bench.deliver(b"newer", "disk", attempts=2)
    assert (theirs.state, code_of(theirs)) == (DeliveryState.FAILED, "object_exists")
    assert [path.name for path in objects_in(bench.disk)] == [NAME]
    assert (bench.disk / NAME).read_bytes() == OLD


async def test_length_shown_late_is_waited_for(bench: Bench, web: HttpStore) -> None:
    """The server answers that no object exists, receives the object, reports an old length, then the object's own."""
    web.answers = [(404, {}), (201, {}), (200, {"Content-Length": "1"})]
    (web.directory / NAME).write_bytes(b"new")
    delivery = await bench.deliver(b"new", "web")
    assert delivery.state is DeliveryState.DELIVERED


async def test_other_bytes_of_the_right_length_are_a_mismatch_and_are_removed(bench: Bench, web: HttpStore) -> None:
    web.answers = [(404, {}), (201, {})]
    (web.directory / NAME).write_bytes(b"bad")
    delivery = await bench.deliver(b"new", "web")
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "target_mismatch")
    assert not (web.directory / NAME).exists()


class Hanging:
    """A directory target that hangs in one of its calls."""

    def __init__(self, target: DirectoryTarget, call: str) -> None:
        self._target = target
        self._call = call
        self.hangs = asyncio.Event()
        self.name = target.name
        self.location, self.remove, self.close = target.location, target.remove, target.close
        self.read_back, self.abilities = target.read_back, target.abilities
        self.allow_overwrite_race = True  # nobody has probed the directory
        self.begin, self.resume, self.proof, self.abandon = target.begin, target.resume, target.proof, target.abandon
        self.commit, self.replace = target.commit, target.replace

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        await self._hang_in("check" if is_temporary(name) else "probe")
        return await self._target.find(name, length=length)

    async def write(
        self,
        stage: Stage,
        blocks: Blocks,
        *,
        leaving: Leaving,
        confirmed: Confirmed,
        attributes: Attributes | None = None,
    ) -> Stage:
        written = await self._target.write(stage, blocks, leaving=leaving, confirmed=confirmed, attributes=attributes)
        await self._hang_in("write")
        return written

    async def _hang_in(self, call: str) -> None:
        if call == self._call:
            self.hangs.set()
            await asyncio.sleep(600)


@pytest.mark.alone
@pytest.mark.parametrize("call", ["probe", "write", "check"])
async def test_delivery_paused_while_its_target_hangs_stops_within_a_second_or_two(bench: Bench, call: str) -> None:
    hanging = Hanging(DirectoryTarget(name="disk", path=bench.disk), call)
    bench.runtime = replace(bench.runtime, targets=only(hanging))
    delivering = asyncio.create_task(bench.deliver(b"new", "disk"))
    async with asyncio.timeout(20):
        await hanging.hangs.wait()
        moved = await bench.deliveries.move(bench.row.record.id, DELIVERY_MOVES[Action.PAUSE])
        paused_at = time.monotonic()
        assert await delivering == moved
    assert time.monotonic() - paused_at < 2.5
    assert not (bench.disk / NAME).exists()


async def test_worker_that_stood_still_for_longer_than_its_lease_sends_nothing_more(bench: Bench) -> None:
    class StandsStill(DirectoryTarget):
        async def write(self, stage: Stage, blocks: Blocks, *, leaving: Leaving, **more: Any) -> Stage:
            def late(length: int) -> None:
                if length > 0:
                    time.sleep(2 * lease_seconds)  # nobody renews the lease meanwhile
                leaving(length)

            return await super().write(stage, blocks, leaving=late, **more)

    lease_seconds = 0.5
    attempts = replace(bench.runtime.delivery_attempts, lease_seconds=lease_seconds)
    targets = only(StandsStill(name="disk", path=bench.disk))
    bench.runtime = replace(bench.runtime, targets=targets, delivery_attempts=attempts)
    await bench.deliver(some_bytes(3 * MIB), "disk")
    assert [path.stat().st_size for path in objects_in(bench.disk)] == [0]


@pytest.mark.parametrize(("left", "sent_mib", "fruitless"), [(0, 0, 1), (1, 0, 1), (2, 1, 0), (3, 2, 0)])
async def test_what_was_only_made_does_not_count_as_sent(
    bench: Bench, left: int, sent_mib: int, fruitless: int
) -> None:
    class BreaksOff(DirectoryTarget):
        async def write(self, stage: Stage, blocks: Blocks, *, leaving: Leaving, **more: Any) -> Stage:
            made = [len(block) for block in blocks]
            for one in [0, *made][: left + 1]:
                leaving(one)
            raise TargetInconsistent("The connection broke.")

    bench.runtime = replace(bench.runtime, targets=only(BreaksOff(name="disk", path=bench.disk)))
    delivery = await bench.deliver(some_bytes(3 * MIB), "disk")
    assert (delivery.sent_bytes, delivery.sent_bytes_most) == (sent_mib * MIB, sent_mib * MIB)
    assert delivery.fruitless_attempts == fruitless


async def test_block_that_leaves_again_on_a_new_connection_counts_once(bench: Bench) -> None:
    class Repeats(DirectoryTarget):
        async def write(self, stage: Stage, blocks: Blocks, *, leaving: Leaving, **more: Any) -> Stage:
            first, second, *_ = [len(block) for block in blocks]
            for one in (0, first, 0, 0, second):
                leaving(one)
            raise TargetUnavailable("The connection broke.")

    bench.runtime = replace(bench.runtime, targets=only(Repeats(name="disk", path=bench.disk)))
    delivery = await bench.deliver(some_bytes(3 * MIB), "disk")
    assert delivery.sent_bytes == MIB


async def test_delivery_cancelled_before_its_commit_is_not_committed(bench: Bench) -> None:
    """The cancel comes before the worker's next look, but the worker must write COMMITTING before it renames."""

    class Cancelled(DirectoryTarget):
        async def write(self, stage: Stage, blocks: Blocks, *, leaving: Leaving, **more: Any) -> Stage:
            written = await super().write(stage, blocks, leaving=leaving, **more)
            await bench.deliveries.move(bench.row.record.id, DELIVERY_MOVES[Action.CANCEL])
            return written

    bench.runtime = replace(bench.runtime, targets=only(Cancelled(name="disk", path=bench.disk)))
    delivery = await bench.deliver(b"new", "disk")
    assert delivery.state is DeliveryState.CANCELLED
    assert not (bench.disk / NAME).exists()
    await bench.clean(delivery)
    assert not objects_in(bench.disk)


async def test_overwrite_that_stopped_before_its_first_byte_leaves_what_was_there(bench: Bench, web: HttpStore) -> None:
    """The second attempt must not take the old object for a part that the first attempt sent."""
    (web.directory / NAME).write_bytes(OLD)

    class Stops(Damaged):
        def alter(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
            bench.contents.__class__ = Damaged
            web.refused_method = "PUT"
            for row in bench.deliveries.rows.values():
                row.lease_until = 0.0  # as after a kill: the attempt does not clean up after itself
                row.record = _taken_by_nobody(row.record)
            raise ChunkCorrupt("Chunk 0 is damaged.")
            yield from chunks

    bench.contents.__class__ = Stops
    delivery = await bench.deliver(b"new", "web", if_exists=IfExists.OVERWRITE, attempts=2)
    assert (delivery.state, code_of(delivery), delivery.attempts) == (DeliveryState.FAILED, "target_refused", 2)
    assert (web.directory / NAME).read_bytes() == OLD


def _taken_by_nobody(delivery: Delivery) -> Delivery:
    return replace(delivery, fence=delivery.fence + 1)


async def test_temporary_object_that_is_locked_stays_for_later_and_holds_nothing_up(bench: Bench) -> None:
    """The worker that writes the temporary object stands still, and its request locks the object."""

    class Locking(DirectoryTarget):
        async def remove(self, name: str) -> None:
            raise TargetLocked("The target answered 423.")

    targets = only(Locking(name="disk", path=bench.disk))
    bench.runtime = replace(bench.runtime, targets=targets)
    delivery = await bench.open(b"new", "disk")
    stopped = await bench.deliveries.claim(
        delivery.id, holder="a", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert stopped is not None
    left = temporary_name(NAME, stopped.lease)
    await bench.deliveries.renew(stopped.lease, leftovers=(left,))
    bench.deliveries.rows[delivery.id].lease_until = 0.0
    delivery = await bench.attempt(delivery)
    assert (delivery.state, delivery.leftovers) == (DeliveryState.DELIVERED, (left,))
    assert (bench.disk / NAME).read_bytes() == b"new"


async def test_file_that_a_new_primary_shows_late_is_not_taken_for_deleted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, renew = bench.files.get, bench.deliveries.renew
    written: list[Lease] = []

    async def get_late(file_id: RecordId) -> File | None:
        return await get(file_id) if written else None

    async def note(lease: Lease, **changes: object) -> None:
        await renew(lease, **changes)
        written.append(lease)

    monkeypatch.setattr(bench.files, "get", get_late)
    monkeypatch.setattr(bench.deliveries, "renew", note)
    assert (await bench.deliver(some_bytes(MIB), "disk")).state is DeliveryState.DELIVERED

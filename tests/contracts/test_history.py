"""The suite of the history of files and deliveries: each change of a state adds one event, in the same write."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from gridhaul.transfer.errors import LeaseLost, Patience
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import EVENTS_KEPT, FIRST_EVENTS_KEPT, Delivery, Event, Failure, File, RecordId
from gridhaul.transfer.states import (
    DELIVERABLE,
    DELIVERY_MOVES,
    FILE_MOVES,
    STORABLE,
    Action,
    DeliveryState,
    FileState,
)
from tests.contracts.ports import (
    SHA256,
    Ports,
    claimed,
    destination,
    eventually,
    new_delivery,
    new_file,
    registered,
    stored,
)

FAILURE = Failure(code="target_unavailable", detail="It does not answer.")
Steps = list[tuple[str, int, str | None, str | None]]  # state, attempt, code and who


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A record whose history is looked at."""

    records: Any
    id: RecordId
    from_states: frozenset[Any]
    waiting: Any
    working: Any
    done: Any
    moves: Any
    asked_by: str

    async def claim(self) -> Any:
        return await self.records.claim(self.id, holder="worker", from_states=self.from_states, to_state=self.working)

    async def claimed(self) -> Any:
        return await eventually(self.claim)

    async def move(self, action: Action, who: str) -> Any:
        return await self.records.move(self.id, self.moves[action], who=who)

    async def now(self) -> Any:
        record = await self.records.get(self.id)
        assert record is not None
        return record

    async def steps(self) -> Steps:
        return _steps(await self.now())


Make = Callable[[Ports], Awaitable[Kept]]


async def _file(ports: Ports) -> Kept:
    return Kept(
        records=ports.files,
        id=(await registered(ports)).id,
        from_states=STORABLE,
        waiting=FileState.REGISTERED,
        working=FileState.STORING,
        done=FileState.STORED,
        moves=FILE_MOVES,
        asked_by="operator",  # the owner of `new_file`
    )


async def _delivery(ports: Ports) -> Kept:
    delivery, _ = await ports.deliveries.open(new_delivery(destination()), who="alice")
    return Kept(
        records=ports.deliveries,
        id=delivery.id,
        from_states=DELIVERABLE,
        waiting=DeliveryState.QUEUED,
        working=DeliveryState.STREAMING,
        done=DeliveryState.DELIVERED,
        moves=DELIVERY_MOVES,
        asked_by="alice",
    )


@pytest.fixture(params=[_file, _delivery], ids=["file", "delivery"])
def make(request: pytest.FixtureRequest) -> Make:
    make: Make = request.param
    return make


def _steps(record: File | Delivery) -> Steps:
    """Return the events without their times. Assert that revisions count them, and that no time goes back."""
    history = record.history
    assert [event.revision for event in history] == [*range(1, record.revision + 1)]
    assert [event.time for event in history] == sorted(event.time for event in history)
    return [(event.state, event.attempt, event.code, event.who) for event in history]


async def test_new_record_has_one_event_of_its_birth(ports: Ports, make: Make) -> None:
    one = await make(ports)
    record = await one.now()
    (event,) = record.history
    assert event == Event(time=record.created_at, state=one.waiting, attempt=0, revision=1, who=one.asked_by)
    assert isinstance(event.time, datetime)


async def test_each_write_of_a_worker_that_changes_the_state_adds_one_event(ports: Ports, make: Make) -> None:
    one = await make(ports)
    first = await one.claimed()
    await one.records.release(first.lease, one.waiting, delay_seconds=0, error=FAILURE)
    second = await one.claimed()
    await one.records.wait(
        second.lease, one.waiting, patience=Patience.HOURS, delay_seconds=0, error=FAILURE, fruitless_attempts=0
    )
    third = await one.claimed()
    await one.records.finish(third.lease, one.done)
    assert await one.steps() == [
        (one.waiting, 0, None, one.asked_by),
        (one.working, 1, None, None),
        (one.waiting, 1, FAILURE.code, None),
        (one.working, 2, None, None),
        (one.waiting, 2, FAILURE.code, None),
        (one.working, 3, None, None),
        (one.done, 3, None, None),
    ]


async def test_renewal_adds_an_event_only_when_it_changes_the_state(ports: Ports) -> None:
    one = await _delivery(ports)
    lease = (await one.claimed()).lease
    await one.records.renew(lease, sent_bytes=3, rate=1.0)
    assert await one.records.hold_name(lease, "run.h5")
    for _ in range(2):
        await one.records.renew(lease, state=DeliveryState.COMMITTING)
    assert (await one.steps())[2:] == [(DeliveryState.COMMITTING, 1, None, None)]


async def test_claim_after_a_lease_that_ended_adds_an_event_and_the_lost_lease_adds_none(
    short_leases: Ports, make: Make
) -> None:
    one = await make(short_leases)
    lost = (await one.claimed()).lease
    await eventually(one.claim)
    for write in (
        one.records.renew(lost, state=one.done),
        one.records.release(lost, one.waiting, delay_seconds=0),
        one.records.finish(lost, one.done),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert (await one.steps())[1:] == [(one.working, 1, None, None), (one.working, 2, None, None)]


async def test_operators_action_names_the_operator(ports: Ports, make: Make) -> None:
    one = await make(ports)
    await one.claimed()
    await one.move(Action.PAUSE, "alice")
    await one.move(Action.RESUME, "bob")
    await one.move(Action.CANCEL, "$name")
    assert await one.move(Action.CANCEL, "late") is None
    await one.move(Action.RETRY, "alice")
    moves = one.moves
    assert (await one.steps())[2:] == [
        (moves[Action.PAUSE].to_state, 1, None, "alice"),
        (one.waiting, 1, None, "bob"),
        (moves[Action.CANCEL].to_state, 1, None, "$name"),
        (one.waiting, 1, None, "alice"),
    ]


async def test_hurry_adds_an_event_although_the_state_stays(ports: Ports, make: Make) -> None:
    one = await make(ports)
    assert await one.records.hurry(one.id, who="early") is None
    await one.records.release((await one.claimed()).lease, one.waiting, delay_seconds=60, error=FAILURE)
    await one.records.hurry(one.id, who="alice")
    assert (await one.steps())[2:] == [(one.waiting, 1, FAILURE.code, None), (one.waiting, 1, None, "alice")]


async def test_long_history_keeps_its_beginning_and_its_end(ports: Ports, make: Make) -> None:
    one = await make(ports)
    for n in range(30):
        await one.move(Action.PAUSE, f"pauses {n}")
        await one.move(Action.RESUME, f"resumes {n}")
    record = await one.now()
    assert record.revision == 61
    kept = [*range(1, FIRST_EVENTS_KEPT + 1), *range(62 - (EVENTS_KEPT - FIRST_EVENTS_KEPT), 62)]
    assert [event.revision for event in record.history] == kept
    assert (record.history[1].who, record.history[-1].who) == ("pauses 0", "resumes 29")


async def test_history_is_in_no_list(ports: Ports) -> None:
    file, delivery = await registered(ports), await _delivery(ports)
    listed: list[File | Delivery] = [
        *await ports.files.page(Selection(), limit=10, after=None),
        *await ports.deliveries.page(Selection(), limit=10, after=None),
        *await ports.deliveries.of_file((await delivery.now()).file_id),
    ]
    assert {record.id for record in listed} == {file.id, delivery.id}
    assert all(record.history == () and record.revision == 1 for record in listed)


async def test_bundle_adds_one_event_to_each_file(ports: Ports) -> None:
    kept, given_back = await registered(ports), await registered(ports)
    contents = {file.id: ports.contents.new_id() for file in (kept, given_back)}
    leases = {file.id: file.lease for file in await ports.files.claim_new(contents, holder="worker")}
    await ports.files.release_all([leases[given_back.id]])
    await ports.files.finish_all({leases[kept.id]: {"sha256": SHA256}}, FileState.STORED)
    await ports.files.finish_all({leases[kept.id]: {"sha256": SHA256}}, FileState.STORED)
    for file, last in ((kept, (FileState.STORED, 1)), (given_back, (FileState.REGISTERED, 0))):
        found = await ports.files.get(file.id)
        assert found is not None
        began = [(FileState.REGISTERED, 0, None, "operator"), (FileState.STORING, 1, None, None)]
        assert _steps(found) == [*began, (*last, None, None)]


async def test_bundle_notes_the_code_of_each_files_error(ports: Ports) -> None:
    files = [await registered(ports) for _ in range(2)]
    contents = {file.id: ports.contents.new_id() for file in files}
    taken = await ports.files.claim_new(contents, holder="worker")
    failures = {file.lease: {"error": Failure(code=f"code_{n}", detail="x")} for n, file in enumerate(taken)}
    await ports.files.finish_all(failures, FileState.FAILED)
    found = [await ports.files.get(file.id) for file in taken]
    assert [file.history[-1].code for file in found if file is not None] == ["code_0", "code_1"]


async def test_deletion_names_who_asked_for_it(ports: Ports) -> None:
    file = await stored(ports)
    await ports.files.request_delete(file.id, deliveries_asked=1, who="refused")
    for who in ("alice", "repeats"):
        await ports.files.request_delete(file.id, deliveries_asked=0, who=who)
    found = await ports.files.get(file.id)
    assert found is not None
    assert _steps(found)[3:] == [(FileState.DELETING, 0, None, "alice")]


async def test_retry_of_a_file_names_who_asked_for_it(ports: Ports) -> None:
    file = await claimed(ports, await registered(ports))
    await ports.files.finish(file.lease, FileState.FAILED, error=FAILURE)
    assert await ports.files.retry(file, who="alice") is not None
    found = await ports.files.get(file.id)
    assert found is not None
    assert _steps(found)[2:] == [
        (FileState.FAILED, 1, FAILURE.code, None),
        (FileState.REGISTERED, 1, None, "alice"),
    ]


async def test_delivery_queued_again_goes_on_with_its_history_and_its_cleaning_adds_nothing(ports: Ports) -> None:
    one = await _delivery(ports)
    await one.records.finish((await one.claimed()).lease, DeliveryState.FAILED, error=FAILURE, leftovers=("part",))
    cleaning = await eventually(lambda: ports.deliveries.claim_cleaning(one.id, holder="worker"))
    assert cleaning is not None
    await ports.deliveries.release(cleaning.lease, cleaning.state, delay_seconds=0)
    cleaning = await eventually(lambda: ports.deliveries.claim_cleaning(one.id, holder="worker"))
    assert cleaning is not None
    await ports.deliveries.finish(cleaning.lease, cleaning.state, leftovers=())
    _, queued = await ports.deliveries.open(new_delivery(destination()), who="bob")
    assert queued
    assert (await one.steps())[2:] == [
        (DeliveryState.FAILED, 1, FAILURE.code, None),
        (DeliveryState.QUEUED, 0, None, "bob"),
    ]


async def test_what_a_worker_asked_for_names_nobody(ports: Ports) -> None:
    member = await registered(ports, replace(new_file(), batch_id=RecordId("c" * 24)))
    made = new_delivery(destination())
    assert await ports.deliveries.make_all([made]) == {made.id}
    for found in (await ports.files.get(member.id), await ports.deliveries.get(made.id)):
        assert found is not None
        assert [event.who for event in found.history] == [None]

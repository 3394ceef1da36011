"""Start, pause, resume, retry, cancel and delete of a batch in every state, and what members may do by themselves."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gridhaul.source.opened import identify
from gridhaul.source.roots import Roots
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope
from gridhaul.transfer.batches import (
    BATCH_MOVES,
    CANCEL_AND_DELETE_BATCH,
    DELETE_BATCH,
    START_BATCH,
    Batch,
    BatchState,
    Position,
    Summary,
)
from gridhaul.transfer.model import Delivery, Failure, File, RecordId
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, FILE_MOVES, Action, DeliveryState, FileState
from tests.api.service import Api, authenticator, serving
from tests.contracts.ports import (
    SHA256,
    Ports,
    claimed,
    from_path,
    new_batch,
    new_member,
    new_members_delivery,
    registered,
)

MOVES = {
    **{("POST", f"/{action}"): (BATCH_MOVES[action], action) for action in Action},
    ("POST", "/start"): (START_BATCH, None),
    ("DELETE", ""): (DELETE_BATCH, None),
    ("DELETE", "?cancel=true"): (CANCEL_AND_DELETE_BATCH, Action.CANCEL),
}
IN_THE_MIDDLE = Position(source=0, after="/srv/run/x")


@pytest.fixture
async def api(ports: Ports, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(ports, root=tmp_path) as found:
        yield found


async def _in(ports: Ports, state: BatchState, **changes: Any) -> Batch:
    """Return a new batch that rests in the state."""
    batch, _ = await ports.batches.register(new_batch())
    taken = await ports.batches.claim_in_its_state(batch.id, holder="w")
    assert taken is not None
    fields: dict[str, Any] = {"position": IN_THE_MIDDLE, "excluded": 1, "unchanged": 2, **changes}
    await ports.batches.finish(taken.lease, state, **fields)
    return await _now(ports, batch.id)


async def _now(ports: Ports, batch_id: RecordId) -> Batch:
    batch = await ports.batches.get(batch_id)
    assert batch is not None
    return batch


async def _do(api: Api, batch_id: str, call: tuple[str, str]) -> httpx2.Response:
    method, path = call
    return await api.http.request(method, f"/batches/{batch_id}{path}")


@pytest.mark.parametrize("call", MOVES, ids=lambda call: "-".join(call).replace("/", ""))
async def test_action_in_every_state_is_done_or_was_done_or_is_refused(
    api: Api, ports: Ports, call: tuple[str, str]
) -> None:
    (move, following), status = MOVES[call], 202 if call[0] == "DELETE" else 200
    for state in BatchState:
        batch = await _in(ports, state)
        api.hints.clear()
        answer = await _do(api, batch.id, call)
        now = await _now(ports, batch.id)
        if state in move.from_states:
            assert (answer.status_code, answer.json()["state"]) == (status, move.to_state), state
            assert (now.state, now.following, now.history[-1].who) == (move.to_state, following, "operator")
            assert api.hinted() == [("tasks.run_batch", batch.id)]
        elif state in move.done_in:
            assert (answer.status_code, answer.json()["state"], now) == (status, state, batch)
            assert not api.hints
        else:
            assert (answer.status_code, answer.json()["code"], now) == (409, "state_conflict", batch), state
            assert state.value in answer.json()["detail"]
            assert not api.hints


@pytest.mark.parametrize("state", [BatchState.PLANNING, BatchState.PLANNED])
async def test_batch_that_is_cancelled_before_it_was_started_is_retried_from_its_beginning(
    api: Api, ports: Ports, state: BatchState
) -> None:
    batch = await _in(ports, state)
    assert (await _do(api, batch.id, ("POST", "/cancel"))).status_code == 200
    assert (await _do(api, batch.id, ("POST", "/retry"))).status_code == 200
    now = await _now(ports, batch.id)
    assert (now.position, now.excluded, now.unchanged) == (Position(source=0), 0, 0)


@pytest.mark.parametrize(
    "calls", [(("POST", "/pause"), ("POST", "/resume")), (("POST", "/cancel"), ("POST", "/retry"))]
)
async def test_batch_that_was_stopped_goes_on_where_it_was(
    api: Api, ports: Ports, calls: tuple[tuple[str, str], ...]
) -> None:
    batch = await _in(ports, BatchState.REGISTERING)
    for call in calls:
        assert (await _do(api, batch.id, call)).status_code == 200
    now = await _now(ports, batch.id)
    assert (now.state, now.position, now.excluded) == (BatchState.REGISTERING, IN_THE_MIDDLE, 1)


async def test_started_batch_begins_at_its_first_source(api: Api, ports: Ports) -> None:
    batch = await _in(ports, BatchState.PLANNED)
    assert (await _do(api, batch.id, ("POST", "/start"))).json()["excluded"] == 0
    assert (await _now(ports, batch.id)).position == Position(source=0)


async def test_planned_batch_counts_as_open_once_it_is_started(ports: Ports) -> None:
    async with serving(ports, max_open_batches=1) as api:
        planned = await _in(ports, BatchState.PLANNED)
        await ports.batches.register(new_batch())
        answer = await _do(api, planned.id, ("POST", "/start"))
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_open_batches")
        assert (await _now(ports, planned.id)).state is BatchState.PLANNED


@pytest.mark.parametrize(
    ("state", "action"),
    [(BatchState.PAUSED, "resume"), (BatchState.DONE, "retry"), (BatchState.PLANNED, "start")],
)
async def test_batch_goes_on_only_to_targets_that_its_caller_may_still_use(
    ports: Ports, database: Database, state: BatchState, action: str
) -> None:
    accounts = MongoAccounts(database)
    account = await accounts.create(NewAccount(username="operator", scopes=tuple(Scope), targets=("mirror",)))
    batch = await _in(ports, state)
    async with serving(ports, accounts=accounts) as api:
        token = authenticator(accounts).access_token(account, frozenset(Scope) - {Scope.ADMIN})
        api.http.headers["Authorization"] = f"Bearer {token}"
        answer = await _do(api, batch.id, ("POST", f"/{action}"))
        assert (answer.status_code, answer.json()["code"]) == (422, "target_unknown")
        assert (await _do(api, batch.id, ("DELETE", "?cancel=true"))).status_code == 202


@pytest.mark.parametrize("call", MOVES)
async def test_unknown_id_is_not_found_and_no_id_is_refused(api: Api, call: tuple[str, str]) -> None:
    assert (await _do(api, "f" * 24, call)).status_code == 404
    assert (await _do(api, "nonsense", call)).status_code == 422


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    path.write_bytes(b"bytes")
    return path


async def _member_in(ports: Ports, batch: Batch, source: Path, state: FileState = FileState.FAILED) -> File:
    """Return a member of the batch in the state, whose source exists."""
    identity = await identify(str(source), Roots.any_of((source.parent,)), max_file_bytes=None)
    new = from_path(new_member("run.h5", batch_id=batch.id), path=str(source), identity=identity)
    file = await registered(ports, new)
    if state is FileState.PAUSED:
        await ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
    else:
        await ports.files.finish((await claimed(ports, file)).lease, state, sha256=SHA256)
    return file


async def _paused_delivery(ports: Ports, batch: Batch, file: File) -> Delivery:
    new = replace(new_members_delivery("run.h5", batch_id=batch.id), file_id=file.id)
    delivery, _ = await ports.deliveries.open(new)
    await ports.deliveries.move(delivery.id, DELIVERY_MOVES[Action.PAUSE])
    return delivery


async def _failed_delivery(ports: Ports, batch: Batch, file: File) -> Delivery:
    new = replace(new_members_delivery("run.h5", batch_id=batch.id), file_id=file.id)
    delivery, _ = await ports.deliveries.open(new)
    taken = await ports.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.finish(taken.lease, DeliveryState.FAILED)
    return delivery


async def _finalize(api: Api, file: File) -> httpx2.Response:
    return await api.http.post(
        f"/upload/{file.id}/finalize", json={"target": "archive"}, headers={"content-sha256": SHA256}
    )


@pytest.mark.parametrize("state", [BatchState.PAUSED, BatchState.DELETING])
async def test_member_does_not_begin_by_itself_while_its_batch_stands(
    api: Api, ports: Ports, source: Path, state: BatchState
) -> None:
    batch = await _in(ports, state)
    paused = await _member_in(ports, batch, source, FileState.PAUSED)
    failed = await _member_in(ports, await _in(ports, state), source)
    delivery = await _paused_delivery(ports, batch, paused)
    api.hints.clear()
    for path in (f"/files/{paused.id}/resume", f"/files/{failed.id}/retry", f"/deliveries/{delivery.id}/resume"):
        answer = await api.http.post(path)
        assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict"), path
        assert state.value in answer.json()["detail"]
    assert not api.hints
    assert (await _now(ports, batch.id)).state is state
    found = await ports.files.get(failed.id)
    assert found is not None
    assert found.state is FileState.FAILED


@pytest.mark.parametrize("state", [BatchState.DONE, BatchState.CANCELLED])
async def test_batch_that_is_over_goes_on_while_a_member_is_retried(
    api: Api, ports: Ports, source: Path, state: BatchState
) -> None:
    batch = await _in(ports, state)
    file = await _member_in(ports, batch, source)
    api.hints.clear()
    assert (await api.http.post(f"/files/{file.id}/retry")).status_code == 200
    now = await _now(ports, batch.id)
    assert (now.state, now.ended_at, now.following) == (BatchState.RUNNING, None, None)
    assert [task for task, _ in api.hinted()] == ["tasks.take_due"]
    assert [one.id for one in (await ports.members.due(batch.id, file.queue, limit=9)).files] == [file.id]


async def test_member_is_not_retried_while_its_batch_is_still_being_cancelled(
    api: Api, ports: Ports, source: Path
) -> None:
    """The worker that lets the members follow repeats the cancel, and would cancel the retried member too."""
    batch = await _in(ports, BatchState.CANCELLED, following=Action.CANCEL)
    failed = await _member_in(ports, await _in(ports, BatchState.CANCELLED, following=Action.CANCEL), source)
    delivery = await _failed_delivery(ports, batch, await _member_in(ports, batch, source, FileState.STORED))
    api.hints.clear()
    for path in (f"/files/{failed.id}/retry", f"/deliveries/{delivery.id}/retry"):
        answer = await api.http.post(path)
        assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict"), path
        assert "still being cancelled" in answer.json()["detail"]
    assert await _now(ports, batch.id) == batch
    assert not api.hints


@pytest.mark.parametrize(
    ("state", "following"),
    [(BatchState.PAUSED, None), (BatchState.DELETING, None), (BatchState.CANCELLED, Action.CANCEL)],
)
async def test_repeated_finalize_queues_no_member_of_a_batch_that_stands(
    api: Api, ports: Ports, source: Path, state: BatchState, following: Action | None
) -> None:
    batch = await _in(ports, state, following=following)
    file = await _member_in(ports, batch, source, FileState.STORED)
    delivery = await _failed_delivery(ports, batch, file)
    api.hints.clear()
    answer = await _finalize(api, file)
    assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
    found = await ports.deliveries.get(delivery.id)
    assert found is not None
    assert found.state is DeliveryState.FAILED
    assert await _now(ports, batch.id) == batch
    assert not api.hints


async def test_batch_that_is_over_goes_on_while_a_member_is_finalized_again(
    api: Api, ports: Ports, source: Path
) -> None:
    batch = await _in(ports, BatchState.DONE)
    file = await _member_in(ports, batch, source, FileState.STORED)
    await _failed_delivery(ports, batch, file)
    assert (await _finalize(api, file)).status_code == 202
    assert (await _now(ports, batch.id)).state is BatchState.RUNNING


async def test_batch_shows_the_newest_error_and_else_why_registering_ended_early(api: Api, ports: Ports) -> None:
    full, away = Failure(code="quota_exceeded", detail="Full."), Failure(code="database_unavailable", detail="Away.")
    for error, code in ((None, "quota_exceeded"), (away, "database_unavailable")):
        batch = await _in(ports, BatchState.DONE, ended_early=full, error=error)
        assert (await api.http.get(f"/batches/{batch.id}")).json()["error"]["code"] == code
        assert (await _do(api, batch.id, ("POST", "/retry"))).json()["error"] is None


async def test_batch_that_was_only_planned_is_not_registered(api: Api, ports: Ports) -> None:
    batch = await _in(ports, BatchState.PLANNED, position=None)
    assert not (await api.http.get(f"/batches/{batch.id}")).json()["registered"]
    assert not (await _do(api, batch.id, ("DELETE", ""))).json()["registered"]


async def test_batch_that_goes_on_shows_no_summary(api: Api, ports: Ports) -> None:
    batch = await _in(ports, BatchState.DONE, summary=Summary(files=1, bytes=5, sha256sums="ab" * 32))
    assert (await api.http.get(f"/batches/{batch.id}")).json()["summary"]["files"] == 1
    assert (await _do(api, batch.id, ("POST", "/retry"))).json()["summary"] is None


async def test_member_that_is_paused_or_cancelled_by_itself_leaves_its_batch_as_it_is(api: Api, ports: Ports) -> None:
    batch = await _in(ports, BatchState.RUNNING)
    file = await registered(ports, new_member("run.h5", batch_id=batch.id))
    for action, state in (("pause", "PAUSED"), ("resume", "REGISTERED"), ("cancel", "CANCELLED")):
        assert (await api.http.post(f"/files/{file.id}/{action}")).json()["state"] == state
    assert (await _now(ports, batch.id)).state is BatchState.RUNNING

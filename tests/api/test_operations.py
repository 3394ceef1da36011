"""Cancel, pause, resume and retry in every state, and the lists of files and deliveries."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gridhaul.source.opened import identify
from gridhaul.source.roots import Roots
from gridhaul.storage.connect import Database
from gridhaul.transfer.model import Delivery, Failure, File, Queue, RecordId
from gridhaul.transfer.origins import Door, Upload
from gridhaul.transfer.states import (
    DELIVERABLE,
    DELIVERY_MOVES,
    FILE_MOVES,
    STORABLE,
    Action,
    DeliveryState,
    FileState,
)
from tests.api.service import Api, serving
from tests.contracts.ports import (
    SHA256,
    Ports,
    destination,
    from_path,
    new_delivery,
    new_file,
    registered,
    stored,
)


@pytest.fixture
async def api(ports: Ports, source: Path) -> AsyncIterator[Api]:
    async with serving(ports, root=source.parent) as found:
        yield found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    path.write_bytes(b"bytes")
    return path


async def _file_in(ports: Ports, state: FileState, source: Path) -> File:
    identity = await identify(str(source), Roots.any_of((source.parent,)), max_file_bytes=None)
    file = await registered(ports, from_path(new_file(), path=str(source), identity=identity))
    taken = await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert taken is not None
    await ports.files.renew(taken.lease, state=state)
    found = await ports.files.get(file.id)
    assert found is not None
    return found


async def _delivery_in(ports: Ports, state: DeliveryState, *, queue: Queue = Queue.SMALL) -> Delivery:
    file = await stored(ports, new_file(length=1000 if queue is Queue.LARGE else 5))
    delivery, _ = await ports.deliveries.open(new_delivery(destination(), file_id=file.id, queue=queue))
    taken = await ports.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.renew(taken.lease, state=state)
    found = await ports.deliveries.get(delivery.id)
    assert found is not None
    return found


def _refused(response: httpx2.Response) -> str:
    assert (response.status_code, response.json()["code"]) == (409, "state_conflict"), response.text
    return str(response.json()["detail"])


@pytest.mark.parametrize("action", Action)
async def test_file_is_moved_answered_as_it_is_or_refused_with_advice(
    api: Api, ports: Ports, source: Path, action: Action
) -> None:
    move = FILE_MOVES[action]
    for state in FileState:
        file = await _file_in(ports, state, source)
        answer = await api.http.post(f"/files/{file.id}/{action}")
        again = await api.http.post(f"/files/{file.id}/{action}")
        if state in move.from_states | move.done_in:
            expected = move.to_state if state in move.from_states else state
            assert (answer.status_code, answer.json()["state"]) == (200, expected), state
            assert (again.status_code, again.json()) == (200, answer.json())
        else:
            assert _refused(answer).startswith(f"The file is {state}: ")
            assert await ports.files.get(file.id) == file


@pytest.mark.parametrize("action", Action)
async def test_delivery_is_moved_answered_as_it_is_or_refused_with_advice(
    api: Api, ports: Ports, action: Action
) -> None:
    move = DELIVERY_MOVES[action]
    for state in DeliveryState:
        delivery = await _delivery_in(ports, state)
        answer = await api.http.post(f"/deliveries/{delivery.id}/{action}")
        again = await api.http.post(f"/deliveries/{delivery.id}/{action}")
        if state in move.from_states | move.done_in:
            expected = move.to_state if state in move.from_states else state
            assert (answer.status_code, answer.json()["state"]) == (200, expected), state
            assert (again.status_code, again.json()) == (200, answer.json())
        else:
            assert _refused(answer).startswith(f"The delivery is {state}: ")
            assert await ports.deliveries.get(delivery.id) == delivery


@pytest.mark.parametrize(("state", "action"), [("PAUSED", "resume"), ("FAILED", "retry"), ("CANCELLED", "retry")])
async def test_what_goes_on_is_hinted(api: Api, ports: Ports, source: Path, state: str, action: str) -> None:
    file = await _file_in(ports, FileState(state), source)
    delivery = await _delivery_in(ports, DeliveryState(state))
    await api.http.post(f"/files/{file.id}/{action}")
    await api.http.post(f"/deliveries/{delivery.id}/{action}")
    assert api.hinted() == [("tasks.upload_file", file.id), ("tasks.finalize_file", delivery.id)]


async def test_delivery_that_was_to_be_cleaned_goes_back_to_its_files_queue(api: Api, ports: Ports) -> None:
    delivery = await _delivery_in(ports, DeliveryState.STREAMING, queue=Queue.LARGE)
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED, leftovers=(f".gridhaul-{'a' * 24}-1.part",))
    await api.http.post(f"/deliveries/{delivery.id}/retry")
    (hint,) = api.hints
    assert hint.queue is Queue.LARGE


async def test_delivery_of_a_deleted_file_is_not_retried(api: Api, ports: Ports) -> None:
    delivery = await _delivery_in(ports, DeliveryState.STREAMING)
    await ports.deliveries.finish(delivery.lease, DeliveryState.FAILED)
    await ports.files.request_delete(delivery.file_id, deliveries_asked=0)
    assert "no stored bytes" in _refused(await api.http.post(f"/deliveries/{delivery.id}/retry"))
    assert await api.http.get(f"/deliveries/{delivery.id}")
    found = await ports.deliveries.get(delivery.id)
    assert found is not None
    assert found.state is DeliveryState.FAILED


@pytest.mark.parametrize(("state", "advice"), [(FileState.PAUSED, "resume"), (FileState.CANCELLED, "retry")])
async def test_finalize_of_a_file_that_was_stopped_says_so(
    api: Api, ports: Ports, source: Path, state: FileState, advice: str
) -> None:
    file = await _file_in(ports, state, source)
    answer = await api.http.post(
        f"/upload/{file.id}/finalize", json={"target": "archive"}, headers={"content-sha256": SHA256}
    )
    detail = _refused(answer)
    assert state in detail
    assert advice in detail


async def test_cancelled_upload_is_to_be_uploaded_again(api: Api, ports: Ports) -> None:
    """An upload has no retry from CANCELLED, because nobody could send the rest of its bytes."""
    upload = replace(new_file(), origin=Upload(door=Door.TUS))
    file, _ = await ports.uploads_living(60).create(upload)
    assert (await api.http.post(f"/files/{file.id}/cancel")).json()["state"] == "CANCELLED"
    path, digest = f"/upload/{file.id}/finalize", {"content-sha256": SHA256}
    for answer in (
        await api.http.post(f"/files/{file.id}/retry"),
        await api.http.post(f"/files/{file.id}/resume"),
        await api.http.post(path, json={"target": "archive"}, headers=digest),
        await api.http.get(f"/files/{file.id}/content"),
    ):
        detail = _refused(answer)
        assert "cannot be continued; upload the file again" in detail
        assert "retry" not in detail


async def test_failed_upload_is_stored_again_with_the_bytes_that_are_there(api: Api, ports: Ports) -> None:
    upload = replace(new_file(), origin=Upload(door=Door.TUS, parts=("a" * 24,)))
    file, _ = await ports.uploads_living(60).create(upload)
    claimed = await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert claimed is not None
    await ports.files.finish(claimed.lease, FileState.FAILED, error=Failure(code="worker_lost", detail="It was lost."))
    answer = await api.http.post(f"/files/{file.id}/retry")
    assert (answer.status_code, answer.json()["state"], answer.json()["error"]) == (200, "STORING", None), answer.text


async def test_cancelled_delivery_is_queued_again_by_finalize(api: Api, ports: Ports) -> None:
    delivery = await _delivery_in(ports, DeliveryState.QUEUED)
    await api.http.post(f"/deliveries/{delivery.id}/cancel")
    answer = await api.http.post(
        f"/upload/{delivery.file_id}/finalize", json={"target": "archive"}, headers={"content-sha256": SHA256}
    )
    assert (answer.status_code, answer.json()["delivery_id"], answer.json()["state"]) == (202, delivery.id, "QUEUED")


@pytest.mark.parametrize("kind", ["files", "deliveries"])
@pytest.mark.parametrize("action", Action)
async def test_unknown_id_is_not_found_and_no_id_is_refused(api: Api, kind: str, action: Action) -> None:
    assert (await api.http.post(f"/{kind}/{'f' * 24}/{action}")).status_code == 404
    assert (await api.http.post(f"/{kind}/nonsense/{action}")).status_code == 422
    assert (await api.http.get(f"/{kind}/{'f' * 24}/{action}")).status_code == 405
    assert (await api.http.post(f"/{kind}/{'f' * 24}/{action}", headers={"Authorization": ""})).status_code == 401


async def test_files_are_listed_by_the_new_states(api: Api, ports: Ports, source: Path) -> None:
    made = {state: await _file_in(ports, state, source) for state in (FileState.PAUSED, FileState.CANCELLED)}
    for state, file in made.items():
        listed = (await api.http.get("/files", params={"state": state})).json()["files"]
        assert [one["file_id"] for one in listed] == [file.id]


async def test_deliveries_are_listed_page_by_page(api: Api, ports: Ports) -> None:
    made: set[RecordId] = {(await _delivery_in(ports, DeliveryState.FAILED)).id for _ in range(5)}
    await _delivery_in(ports, DeliveryState.QUEUED)
    seen: list[str] = []
    query: dict[str, Any] = {"state": "FAILED", "limit": 2}
    while True:
        page = (await api.http.get("/deliveries", params=query)).json()
        seen += [one["delivery_id"] for one in page["deliveries"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert len(seen) == 5
    assert set(seen) == made
    assert (await api.http.get("/deliveries", params={"cursor": "f" * 24})).status_code == 404
    assert (await api.http.get("/deliveries", params={"state": "LOST"})).status_code == 422


async def test_lists_of_deliveries_use_an_index(api: Api, ports: Ports, database: Database) -> None:
    delivery = await _delivery_in(ports, DeliveryState.FAILED)
    await database.command("profile", 2)
    for query in ({}, {"state": "FAILED"}, {"cursor": delivery.id}, {"state": "FAILED", "cursor": delivery.id}):
        assert (await api.http.get("/deliveries", params=query)).status_code == 200
    await database.command("profile", 0)
    seen = [one async for one in database["system.profile"].find({"op": "query", "command.sort": {"$exists": True}})]
    assert len(seen) >= 4  # a page after a cursor takes two looks
    for one in seen:
        assert one["planSummary"].startswith("IXSCAN"), one["planSummary"]
        assert not one.get("hasSortStage")

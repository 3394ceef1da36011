"""The history of files and deliveries in the answers of the api, with the names of those who acted."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gridhaul.storage.connect import Database
from gridhaul.transfer.model import Failure, RecordId
from gridhaul.transfer.states import DeliveryState, FileState
from tests.api.service import Api, serving
from tests.contracts.ports import SHA256, Ports, claimed, destination, new_delivery, stored

FAILURE = Failure(code="source_unreadable", detail="It cannot be read.")


@pytest.fixture
async def api(ports: Ports, tmp_path: Path) -> AsyncIterator[Api]:
    (tmp_path / "run.h5").write_bytes(b"bytes")
    async with serving(ports, root=tmp_path) as found:
        yield found


async def _prepared(api: Api, tmp_path: Path) -> str:
    answer = await api.http.post("/upload/prepare", json={"file_path": str(tmp_path / "run.h5")})
    assert answer.status_code == 202, answer.text
    assert "history" not in answer.json()
    return str(answer.json()["file_id"])


async def _steps(api: Api, path: str) -> list[tuple[Any, ...]]:
    history = (await api.http.get(path)).json()["history"]
    assert [event["revision"] for event in history] == [*range(1, len(history) + 1)]
    return [(event["state"], event["attempt"], event["code"], event["who"]) for event in history]


async def _acted(api: Api, path: str, *actions: str) -> None:
    for action in actions:
        answer = await api.http.post(f"{path}/{action}")
        assert answer.status_code == 200, answer.text
        assert "history" not in answer.json()


async def test_single_file_shows_what_happened_and_who_did_it(api: Api, ports: Ports, tmp_path: Path) -> None:
    file_id = await _prepared(api, tmp_path)
    await _acted(api, f"/files/{file_id}", "pause", "resume")
    found = await ports.files.get(RecordId(file_id))
    assert found is not None
    taken = await claimed(ports, found)
    await ports.files.finish(taken.lease, FileState.FAILED, error=FAILURE)
    await _acted(api, f"/files/{file_id}", "retry", "cancel")
    await api.http.delete(f"/files/{file_id}")
    assert await _steps(api, f"/files/{file_id}") == [
        ("REGISTERED", 0, None, "operator"),
        ("PAUSED", 0, None, "operator"),
        ("REGISTERED", 0, None, "operator"),
        ("STORING", 1, None, None),
        ("FAILED", 1, FAILURE.code, None),
        ("REGISTERED", 1, None, "operator"),
        ("CANCELLED", 1, None, "operator"),
        ("DELETING", 0, None, "operator"),
    ]


async def test_retry_of_a_waiting_file_and_delete_with_cancel_name_who_asked(
    api: Api, ports: Ports, tmp_path: Path
) -> None:
    file_id = await _prepared(api, tmp_path)
    found = await ports.files.get(RecordId(file_id))
    assert found is not None
    taken = await claimed(ports, found)
    await ports.files.release(taken.lease, FileState.REGISTERED, delay_seconds=60, error=FAILURE)
    await _acted(api, f"/files/{file_id}", "retry")
    await api.http.delete(f"/files/{file_id}", params={"cancel": "true"})
    assert (await _steps(api, f"/files/{file_id}"))[2:] == [
        ("REGISTERED", 1, FAILURE.code, None),
        ("REGISTERED", 1, None, "operator"),
        ("CANCELLED", 1, None, "operator"),
        ("DELETING", 0, None, "operator"),
    ]


async def test_single_delivery_shows_what_happened_and_lists_do_not(api: Api, ports: Ports) -> None:
    file = await stored(ports)
    delivery, _ = await ports.deliveries.open(new_delivery(destination(), file_id=file.id))
    path = f"/deliveries/{delivery.id}"
    await _acted(api, path, "pause", "resume", "cancel", "retry")
    states = [DeliveryState.QUEUED, "PAUSED", "QUEUED", "CANCELLED", "QUEUED"]
    whos = [None, *["operator"] * 4]
    assert await _steps(api, path) == [(state, 0, None, who) for state, who in zip(states, whos, strict=True)]
    listed = (await api.http.get(f"/files/{file.id}/deliveries")).json()["deliveries"]
    listed += (await api.http.get("/deliveries")).json()["deliveries"]
    listed += (await api.http.get("/files")).json()["files"]
    assert len(listed) == 3
    assert not [record for record in listed if "history" in record]


async def test_finalize_names_who_asked_for_the_delivery_and_for_it_again(api: Api, ports: Ports) -> None:
    file = await stored(ports)
    asked = {"target": "archive", "object_name": "run.h5"}
    for _ in range(2):
        headers = {"content-sha256": SHA256}
        answer = await api.http.post(f"/upload/{file.id}/finalize", json=asked, headers=headers)
        assert answer.status_code == 202, answer.text
        path = answer.headers["Location"]
        await _acted(api, path, "cancel")
    assert await _steps(api, path) == [
        (state, 0, None, "operator") for state in ("QUEUED", "CANCELLED", "QUEUED", "CANCELLED")
    ]


async def test_record_that_is_older_than_histories_begins_one_with_its_next_change(
    api: Api, ports: Ports, database: Database
) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination()))
    path = f"/deliveries/{delivery.id}"
    await database["deliveries"].update_one({}, {"$unset": {"history": "", "revision": ""}})
    assert await _steps(api, path) == []
    await _acted(api, path, "pause")
    assert await _steps(api, path) == [("PAUSED", 0, None, "operator")]

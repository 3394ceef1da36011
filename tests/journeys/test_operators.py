"""Operators stop, continue and delete running transfers; a stopped transfer leaves nothing behind."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gridhaul.embedded.system import System
from tests.delivered import temporaries_below
from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Json, Operator, make_file, sha256_of, wait_for

LENGTH = 400 * MIB
SOON_SECONDS = 3  # a worker stops within about a second
MAINTENANCE_SECONDS = 30  # enough for SWEEP_SECONDS, a lease, and the next run of the dispatcher


@pytest.fixture(scope="module")
def large(sources: Path) -> Path:
    return make_file(sources / "operators.bin", LENGTH)


@pytest.fixture(scope="module")
def stored(system: System, large: Path) -> Iterator[str]:
    """Yield the id of the large file, which is stored once for all deliveries."""
    system.wait_ready(timeout_seconds=30)
    operator = Operator(system)
    file_id = operator.prepare(large)
    operator.stored(file_id)
    yield file_id
    operator.close()


def stored_chunks(operator: Operator, file_id: str) -> int:
    """Return the number of the file's chunks in the database."""
    with operator.database() as database:
        file = next(one for one in database["files"].find() if str(one["_id"]) == file_id)
        return int(database["fs.chunks"].count_documents({"files_id": file["content_id"]}))


@contextmanager
def standing_worker(operator: Operator, collection: str) -> Iterator[None]:
    """Suspend the worker child that works on a record of the collection during the block.

    Otherwise, a fast worker could finish before the operator's request has arrived.
    """
    child = operator.holder_of(collection)
    child.suspend()
    try:
        yield
    finally:
        child.resume()


def standing_still(look: Any, *, for_seconds: float) -> Any:
    """Wait until `look` has returned the same value for `for_seconds`, and return that value."""
    seen, since = look(), time.monotonic()

    def same() -> bool:
        nonlocal seen, since
        now = look()
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= for_seconds

    wait_for(same, seconds=for_seconds + SOON_SECONDS, what="the value stays the same")
    return seen


def temporary_objects(folder: Path) -> list[Path]:
    return [path for path in temporaries_below(folder) if path.is_file()]


def sending(operator: Operator, file_id: str, large: Path, remotes: Remotes, target: str, name: str) -> str:
    """Finalize the file; return the id of the new delivery once an eighth of its bytes is at the target."""
    asked = operator.finalize(file_id, sha256_of(large), target, object_name=name)
    assert asked.status_code == 202, asked.text
    delivery_id = str(asked.json()["delivery_id"])
    folder = remotes.of(target) / "operators"
    wait_for(lambda: _bytes_in(folder, name, target) >= LENGTH // 8, seconds=60, what="an eighth of the file is sent")
    return delivery_id


def look_at(operator: Operator, delivery_id: str) -> Json:
    response = operator.http.get(f"/deliveries/{delivery_id}")
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.mark.parametrize(("stop", "go_on"), [("pause", "resume"), ("cancel", "retry")])
def test_file_stopped_in_mid_store_stores_no_more_until_it_goes_on(
    operator: Operator, large: Path, remotes: Remotes, stop: str, go_on: str
) -> None:
    name = f"operators/{stop}.bin"
    file_id = operator.prepare(large, to="directory", object_name=name)
    operator.storing_past(file_id, LENGTH // 8)
    with standing_worker(operator, "files"):
        stopped = operator.operate("files", file_id, stop)
    held = standing_still(lambda: stored_chunks(operator, file_id), for_seconds=1.5)
    assert 0 < held < LENGTH // MIB
    assert operator.file(file_id)["state"] == stopped["state"] == {"pause": "PAUSED", "cancel": "CANCELLED"}[stop]
    operator.operate("files", file_id, go_on)
    operator.delivered(file_id)
    assert sha256_of(remotes.directory / name) == sha256_of(large)
    assert operator.file(file_id)["attempts"] == 2


@pytest.mark.parametrize("target", ["webdav", "directory", "http"])
def test_delivery_paused_in_the_middle_goes_on_when_resumed(
    operator: Operator, stored: str, large: Path, remotes: Remotes, target: str
) -> None:
    name = f"operators/paused-{target}.bin"
    delivery_id = sending(operator, stored, large, remotes, target, name)
    with standing_worker(operator, "deliveries"):
        assert operator.operate("deliveries", delivery_id, "pause")["state"] == "PAUSED"
    sent = standing_still(lambda: _bytes_in(remotes.of(target) / "operators", name, target), for_seconds=1.5)
    assert sent < LENGTH
    operator.operate("deliveries", delivery_id, "resume")
    receipt = wait_for(lambda: look_at(operator, delivery_id)["receipt"], seconds=60, what="the file is delivered")
    assert receipt["attempts"] == 2
    assert sha256_of(remotes.of(target) / name) == sha256_of(large)
    wait_for(lambda: _cleaned(operator, delivery_id), seconds=MAINTENANCE_SECONDS, what="the delivery is cleaned up")
    assert temporary_objects(remotes.of(target) / "operators") == []
    assert look_at(operator, delivery_id)["receipt"] == receipt, "cleaning up does not change the receipt"


def _bytes_in(folder: Path, name: str, target: str) -> int:
    place = [folder.parent / name] if target == "http" else temporary_objects(folder)
    return sum(path.stat().st_size for path in place if path.exists())


def _cleaned(operator: Operator, delivery_id: str) -> bool:
    with operator.database() as database:
        record = next(one for one in database["deliveries"].find() if str(one["_id"]) == delivery_id)
    return not record["leftovers"] and "next_attempt_at" not in record and "claimed" not in record


@pytest.mark.parametrize("target", ["webdav", "http"])
def test_delivery_cancelled_in_the_middle_leaves_nothing_and_its_name_is_free(
    operator: Operator, stored: str, large: Path, sources: Path, remotes: Remotes, target: str
) -> None:
    name = f"operators/cancelled-{target}.bin"
    delivery_id = sending(operator, stored, large, remotes, target, name)
    with standing_worker(operator, "deliveries"):
        assert operator.operate("deliveries", delivery_id, "cancel")["state"] == "CANCELLED"
    another = make_file(sources / f"another-{target}.bin", MIB)
    operator.delivered(operator.prepare(another, to=target, object_name=name), seconds=MAINTENANCE_SECONDS)
    wait_for(lambda: _cleaned(operator, delivery_id), seconds=MAINTENANCE_SECONDS, what="the delivery is cleaned up")
    assert temporary_objects(remotes.of(target) / "operators") == []
    assert sha256_of(remotes.of(target) / name) == sha256_of(another)
    assert look_at(operator, delivery_id)["state"] == "CANCELLED"


def test_failed_delivery_is_retried(operator: Operator, sources: Path, remotes: Remotes) -> None:
    (remotes.directory / "operators").mkdir(exist_ok=True)
    taken = make_file(remotes.directory / "operators" / "taken.bin", 5)
    path = make_file(sources / "retried.bin", MIB)
    file_id = operator.prepare(path, to="directory", object_name="operators/taken.bin")
    failed = operator.delivery_over(file_id)
    assert failed["error"]["code"] == "object_exists"
    taken.unlink()
    assert operator.operate("deliveries", failed["delivery_id"], "retry")["state"] == "QUEUED"
    operator.delivered(file_id)
    assert sha256_of(taken) == sha256_of(path)


def test_file_deleted_in_mid_store_leaves_nothing(operator: Operator, large: Path) -> None:
    file_id = operator.prepare(large)
    operator.storing_past(file_id, LENGTH // 8)
    assert operator.http.delete(f"/files/{file_id}").status_code == 409
    assert operator.http.delete(f"/files/{file_id}", params={"cancel": "true"}).status_code == 202
    wait_for(lambda: operator.file(file_id)["state"] == "DELETED", seconds=20, what="the file is deleted")
    wait_for(lambda: _swept(operator, file_id), seconds=MAINTENANCE_SECONDS, what="nothing of the file is left")


def _swept(operator: Operator, file_id: str) -> bool:
    with operator.database() as database:
        file = next(one for one in database["files"].find() if str(one["_id"]) == file_id)
        content_id = file["content_id"]
        parts = (("contents", "_id"), ("fs.chunks", "files_id"), ("fs.files", "_id"), ("inline", "_id"))
        return not any(database[name].count_documents({field: content_id}) for name, field in parts)


def test_delivery_that_was_accepted_never_dies_of_a_delete(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "raced.bin", 1000)
    sha256 = sha256_of(path)
    ids = [operator.prepare(path) for _ in range(40)]
    for file_id in ids:
        operator.stored(file_id)

    def race(number: int) -> tuple[bool, bool]:
        file_id, name = ids[number], f"operators/raced-{number}.bin"
        with ThreadPoolExecutor(2) as both:
            deleting = both.submit(operator.http.delete, f"/files/{file_id}")
            asking = both.submit(operator.finalize, file_id, sha256, "directory", object_name=name)
            deleted, asked = deleting.result(), asking.result()
        assert deleted.status_code in (202, 409), deleted.text
        assert asked.status_code in (200, 202, 409), asked.text
        return deleted.status_code == 202, asked.status_code in (200, 202)

    with ThreadPoolExecutor(4) as racing:
        outcomes = list(racing.map(race, range(len(ids))))
    assert all(deleted or accepted for deleted, accepted in outcomes), outcomes
    for file_id, (_, accepted) in zip(ids, outcomes, strict=True):
        if accepted:  # a delete is accepted beside it only after the delivery is over
            operator.delivered(file_id)

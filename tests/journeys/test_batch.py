"""A tree of many files goes to targets as one batch, whatever is killed on the way."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId

from tests.journeys.conftest import Remotes
from tests.journeys.operator import Json, Operator, make_file, wait_for

ENDED = ("DONE", "CANCELLED")


@pytest.fixture
def tree(sources: Path) -> Path:
    """Return a new folder with 60 small files in three folders, and one of 20 MiB."""
    top = sources / f"tree-{uuid4().hex[:8]}"
    for folder in ("a", "b/c", "ü 🎞"):
        (top / folder).mkdir(parents=True)
        for n in range(20):
            (top / folder / f"file {n}.bin").write_bytes(bytes([n]) * n * 1000)
    make_file(top / "large.bin", 20 << 20)
    return top


def start(operator: Operator, tree: Path, **body: Any) -> str:
    response = operator.http.post("/batches", json={"paths": [str(tree)], **body})
    assert response.status_code == 202, response.text
    return str(response.json()["batch_id"])


def get(operator: Operator, batch_id: str) -> Json:
    found: Json = operator.http.get(f"/batches/{batch_id}").json()
    return found


def ended(operator: Operator, batch_id: str, *, seconds: float = 20) -> Json:
    def over() -> Json | None:
        batch = get(operator, batch_id)
        return batch if batch["state"] in ENDED else None

    return wait_for(over, seconds=seconds, what="the batch is over")


def names_beneath(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("target", ["directory", "webdav"])
def test_tree_arrives_with_its_names_and_sha256sum_agrees(
    operator: Operator, remotes: Remotes, tree: Path, tmp_path: Path, target: str
) -> None:
    prefix = f"runs/{uuid4().hex[:8]}"
    batch_id = start(operator, tree, deliver_to={"target": target, "prefix": prefix})
    batch = ended(operator, batch_id)
    assert batch["counts"]["deliveries"] == {"DELIVERED": {"count": 61, "bytes": batch["summary"]["bytes"]}}
    arrived = remotes.of(target) / prefix
    assert names_beneath(arrived / tree.name) == names_beneath(tree)
    sums = operator.http.get(f"/batches/{batch_id}/sha256sums").content
    assert hashlib.sha256(sums).hexdigest() == batch["summary"]["sha256sums"]
    (tmp_path / "sums").write_bytes(sums)
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", tmp_path / "sums"], cwd=arrived, check=True)


def paused(operator: Operator, batch_id: str) -> Json | None:
    """Return the batch once no member is open any more but paused."""
    counts = get(operator, batch_id)["counts"]
    states = {*counts["files"], *counts["deliveries"]}
    return counts if states <= {"PAUSED", "STORED", "DELIVERED"} else None


def test_paused_batch_begins_nothing_and_goes_on_when_resumed(operator: Operator, remotes: Remotes, tree: Path) -> None:
    make_file(tree / "second.bin", 100 << 20)
    make_file(tree / "third.bin", 100 << 20)
    batch_id = start(operator, tree, deliver_to={"target": "directory"})
    assert operator.http.post(f"/batches/{batch_id}/pause").json()["state"] == "PAUSED"
    before = wait_for(lambda: paused(operator, batch_id), seconds=15, what="all members are paused")
    assert operator.http.post(f"/batches/{batch_id}/pause").status_code == 200
    assert paused(operator, batch_id) == before | {"counted_at": get(operator, batch_id)["counts"]["counted_at"]}
    operator.http.post(f"/batches/{batch_id}/resume")
    batch = ended(operator, batch_id, seconds=60)
    assert batch["counts"]["deliveries"]["DELIVERED"]["count"] == 63
    assert names_beneath(remotes.directory / tree.name) == names_beneath(tree)


def test_cancelled_batch_ends_and_its_retry_delivers_everything(
    operator: Operator, remotes: Remotes, tree: Path
) -> None:
    make_file(tree / "second.bin", 100 << 20)
    batch_id = start(operator, tree, deliver_to=[{"target": "directory"}, {"target": "http"}])
    assert operator.http.post(f"/batches/{batch_id}/cancel").json()["state"] == "CANCELLED"

    def over() -> bool:
        batch = get(operator, batch_id)
        return batch["ended_at"] is not None and not {"REGISTERED", "STORING", "QUEUED"} & {*batch["counts"]["files"]}

    wait_for(over, seconds=30, what="the members are cancelled")
    operator.http.post(f"/batches/{batch_id}/retry")
    batch = ended(operator, batch_id, seconds=60)
    assert batch["counts"]["deliveries"]["DELIVERED"]["count"] == 124
    assert names_beneath(remotes.http / tree.name) == names_beneath(tree)


def test_retry_sends_only_what_failed(operator: Operator, remotes: Remotes, tree: Path) -> None:
    gone = tree / "a" / "file 3.bin"
    length = gone.stat().st_size
    (remotes.directory / tree.name / "a").mkdir(parents=True)
    (remotes.directory / tree.name / "a" / "file 5.bin").write_bytes(b"somebody else's")
    batch_id = start(operator, tree, deliver_to={"target": "directory"})
    batch = ended(operator, batch_id)
    assert batch["counts"]["failures"] == {"object_exists": 1}
    assert length
    (remotes.directory / tree.name / "a" / "file 5.bin").unlink()
    times = {path: path.stat().st_ctime_ns for path in remotes.directory.joinpath(tree.name).rglob("*.bin")}
    assert operator.http.post(f"/batches/{batch_id}/retry").status_code == 200
    batch = ended(operator, batch_id)
    assert batch["counts"]["deliveries"] == {
        "DELIVERED": {"count": 61, "bytes": batch["counts"]["files"]["STORED"]["bytes"]}
    }
    assert times == {path: path.stat().st_ctime_ns for path in times}


def test_deleted_batch_frees_the_quota_and_its_bytes(operator: Operator, tree: Path) -> None:
    batch_id = start(operator, tree)
    assert operator.http.delete(f"/batches/{batch_id}").status_code == 409
    ended(operator, batch_id)
    with operator.database() as database:
        contents = [one["content_id"] for one in database["files"].find({"batch_id": ObjectId(batch_id)})]
        assert operator.http.delete(f"/batches/{batch_id}").status_code == 202
        wait_for(lambda: get(operator, batch_id)["state"] == "DELETED", seconds=30, what="the batch is deleted")
        for name, field in (("contents", "_id"), ("inline", "_id"), ("manifests", "_id.content")):
            assert not database[name].count_documents({field: {"$in": contents}}), name
        assert not database["fs.chunks"].count_documents({"files_id": {"$in": contents}})
    assert get(operator, batch_id)["counts"]["files"].keys() == {"DELETED"}


def test_batch_is_cancelled_and_deleted_in_one_request(operator: Operator, tree: Path) -> None:
    make_file(tree / "second.bin", 100 << 20)
    batch_id = start(operator, tree, deliver_to={"target": "directory"})
    assert operator.http.delete(f"/batches/{batch_id}", params={"cancel": "true"}).status_code == 202
    wait_for(lambda: get(operator, batch_id)["state"] == "DELETED", seconds=60, what="the batch is deleted")
    counts = get(operator, batch_id)["counts"]
    assert counts["files"].keys() <= {"DELETED"}
    assert counts["deliveries"].keys() <= {"DELIVERED", "CANCELLED"}

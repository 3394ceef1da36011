"""A tree of many files goes to targets as one batch, whatever is killed on the way."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

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

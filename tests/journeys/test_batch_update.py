"""A batch with `update` delivers only what is new or changed since the newest delivery."""

import os
from pathlib import Path

import pytest

from tests.journeys.conftest import Remotes
from tests.journeys.operator import Operator
from tests.journeys.test_batch import ended, names_beneath, start, tree

__all__ = ["tree"]


def test_update_delivers_what_is_new_or_changed_and_tells_what_vanished(
    operator: Operator, remotes: Remotes, tree: Path
) -> None:
    to = {"target": "directory", "if_exists": "overwrite"}
    ended(operator, start(operator, tree, deliver_to=to))
    (tree / "a" / "file 1.bin").write_bytes(b"changed")
    (tree / "a" / "new.bin").write_bytes(b"new")
    (tree / "a" / "file 2.bin").unlink()
    touched = tree / "a" / "file 3.bin"
    os.utime(touched, (1, 1))
    batch_id = start(operator, tree, deliver_to=to, update=True)
    batch = ended(operator, batch_id)
    assert batch["unchanged"] == 58
    assert batch["counts"]["deliveries"]["DELIVERED"]["count"] == 3
    skipped = operator.http.get(f"/batches/{batch_id}/skipped").json()["skipped"]
    assert [(one["path"], one["reason"]) for one in skipped] == [(str(tree / "a" / "file 2.bin"), "vanished")]
    arrived = names_beneath(remotes.directory / tree.name)
    assert arrived.pop("a/file 2.bin")
    assert arrived == names_beneath(tree)
    assert ended(operator, start(operator, tree, deliver_to=to, update=True))["unchanged"] == 61


def test_update_tells_of_vanished_files_only_where_they_would_be_sent(operator: Operator, tree: Path) -> None:
    to = {"target": "directory", "if_exists": "overwrite"}
    ended(operator, start(operator, tree, deliver_to=to), seconds=60)
    for name in ("a/file 1.bin", "a/file 2.bin", "b/c/file 3.bin"):
        (tree / name).unlink()
    body = {"paths": [f"{tree}/a/*.bin"], "base": str(tree.parent), "exclude": ["file 2*"], "update": True}
    started = operator.http.post("/batches", json={**body, "deliver_to": to})
    batch = ended(operator, started.json()["batch_id"])
    skipped = operator.http.get(f"/batches/{batch['batch_id']}/skipped").json()["skipped"]
    assert [one["path"] for one in skipped] == [f"{tree}/a/file 1.bin"]


def test_update_without_a_target_is_refused(operator: Operator, tree: Path) -> None:
    refused = operator.http.post("/batches", json={"paths": [str(tree)], "update": True})
    assert refused.status_code == 422


@pytest.mark.parametrize("target", ["webdav"])
def test_update_delivers_a_lost_object_again(operator: Operator, remotes: Remotes, tree: Path, target: str) -> None:
    ended(operator, start(operator, tree, deliver_to={"target": target}))
    batch = ended(operator, start(operator, tree, deliver_to={"target": target, "prefix": "elsewhere"}, update=True))
    assert batch["unchanged"] == 0

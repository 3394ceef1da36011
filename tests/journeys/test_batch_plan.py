"""A batch that is only planned says what it would do, changes nothing, and can be started."""

from pathlib import Path

from tests.journeys.conftest import Remotes
from tests.journeys.operator import Json, Operator, wait_for
from tests.journeys.test_batch import ended, get, names_beneath, start, tree

__all__ = ["tree"]


def planned(operator: Operator, batch_id: str) -> Json:
    def over() -> Json | None:
        batch = get(operator, batch_id)
        return batch if batch["state"] == "PLANNED" else None

    return wait_for(over, seconds=30, what="the batch is planned")


def test_plan_counts_and_lists_and_changes_nothing_and_the_batch_can_be_started(
    operator: Operator, remotes: Remotes, tree: Path
) -> None:
    probing = {"target": "directory", "prefix": f"probed by {tree.name}"}
    ended(operator, start(operator, tree / "a", deliver_to=probing), seconds=60)
    there = remotes.directory / tree.name / "a" / "file 1.bin"
    there.parent.mkdir(parents=True)
    there.write_bytes((tree / "a" / "file 1.bin").read_bytes())
    (tree / "link").symlink_to(tree / "large.bin")
    to = [{"target": "directory"}, {"target": "webdav"}]
    batch_id = start(operator, tree, deliver_to=to, dry_run=True, exclude=["ü*"])
    batch = planned(operator, batch_id)
    plan = batch["plan"]
    assert (plan["files"], batch["excluded"]) == (41, 1)
    assert plan["bytes"] == sum(path.stat().st_size for path in tree.rglob("*.bin") if "🎞" not in str(path))
    assert plan["largest"][0] == {"path": str(tree / "large.bin"), "length": 20 << 20}
    assert len(plan["largest"]) == 10
    assert plan["existing"]["directory"] == 1
    assert plan["target_free_bytes"]["directory"] > 0
    skipped = operator.http.get(f"/batches/{batch_id}/skipped").json()["skipped"]
    assert {(one["path"], one["reason"]) for one in skipped} == {
        (str(tree / "a" / "file 1.bin"), "name_exists"),
        (str(tree / "link"), "link"),
    }
    assert batch["counts"]["files"] == {}
    assert not operator.http.get("/files", params={"batch": batch_id}).json()["files"]
    assert operator.http.post(f"/batches/{batch_id}/start").status_code == 200
    batch = ended(operator, batch_id, seconds=60)
    assert batch["counts"]["deliveries"]["DELIVERED"]["count"] == 82
    assert batch["counts"]["skipped"] == {"link": 1}
    assert names_beneath(remotes.directory / tree.name).keys() == {
        str(path.relative_to(tree)) for path in tree.rglob("*.bin") if "🎞" not in str(path)
    }
    assert operator.http.post(f"/batches/{batch_id}/start").status_code == 200


def test_names_that_clash_are_found_by_the_plan_and_never_overwrite_each_other(
    operator: Operator, remotes: Remotes, tree: Path
) -> None:
    body = {"paths": [f"{tree}/a/", f"{tree}/b/c/"], "deliver_to": {"target": "directory", "prefix": tree.name}}
    response = operator.http.post("/batches", json={**body, "dry_run": True})
    batch = planned(operator, response.json()["batch_id"])
    assert batch["plan"]["files"] == 20
    assert batch["counts"]["skipped"] == {"name_clash": 20}
    batch = ended(operator, operator.http.post("/batches", json=body).json()["batch_id"])
    assert batch["counts"]["skipped"] == {"name_clash": 20}
    assert names_beneath(remotes.directory / tree.name) == names_beneath(tree / "a")

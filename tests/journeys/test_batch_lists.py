"""Batches whose files a list or a manifest names, whatever is killed on the way."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from bson import ObjectId

from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Json, Operator, make_file, sha256_of, wait_for
from tests.journeys.test_batch import ended, get, names_beneath

TEXT = {"Content-Type": "text/plain"}
MANY = 5000
WRONG = "0" * 64


@pytest.fixture
def top(sources: Path) -> Path:
    """Return a new folder with five files, one of them large."""
    top = sources / f"listed-{uuid4().hex[:8]}"
    (top / "a b" / "ü").mkdir(parents=True)
    for name in ("one", "a b/two", "a b/ü/three", "four"):
        (top / name).write_bytes(name.encode() * 1000)
    make_file(top / "large", 20 * MIB)
    return top


def send_list(operator: Operator, text: bytes, list_format: str) -> str:
    response = operator.http.post("/lists", params={"format": list_format}, content=text, headers=TEXT)
    assert response.status_code == 201, response.text
    return str(response.json()["list_id"])


def start(operator: Operator, list_id: str, **body: object) -> str:
    response = operator.http.post("/batches", json={"list_id": list_id, **body})
    assert response.status_code == 202, response.text
    return str(response.json()["batch_id"])


def skipped(operator: Operator, batch_id: str) -> dict[str, str]:
    listed = operator.http.get(f"/batches/{batch_id}/skipped").json()["skipped"]
    return {one["path"]: one["reason"] for one in listed}


def is_deleted(operator: Operator, batch_id: str) -> bool:
    return bool(get(operator, batch_id)["state"] == "DELETED")


def failed(operator: Operator, batch_id: str) -> dict[str, Json]:
    params = {"batch": batch_id, "state": "FAILED"}
    return {one["name"]: one for one in operator.http.get("/files", params=params).json()["files"]}


def sums_of(digests: Mapping[str, str]) -> bytes:
    return "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()


def test_long_list_is_stored_whole_though_its_workers_are_killed(operator: Operator, sources: Path) -> None:
    top = sources / f"many-{uuid4().hex[:8]}"
    names = [f"{number % 50}/{number}" for number in range(MANY)]
    for number, name in enumerate(names):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(str(number).encode())
    text = "\n".join(names[:1000] + [f"gone/{'x' * 200}/{number}" for number in range(2000)] + names[1000:])
    batch_id = start(operator, send_list(operator, text.encode(), "paths"), base=str(top))

    def registering() -> bool:
        with operator.database() as database:
            return bool(database["files"].count_documents({"batch_id": ObjectId(batch_id)}, limit=1))

    wait_for(registering, seconds=20, what="some files are registered")
    for worker in ("worker_small", "worker_large"):
        for child in psutil.Process(operator.system.pid(worker)).children():
            child.kill()
    batch = ended(operator, batch_id, seconds=180)
    assert batch["counts"]["files"].keys() == {"STORED"}
    assert batch["counts"]["skipped"] == {"source_missing": 2000}
    sums = operator.http.get(f"/batches/{batch_id}/sha256sums").text
    assert dict(line.split("  ")[::-1] for line in sums.splitlines()) == names_beneath(top)


def test_files_that_are_not_as_the_manifest_says_fail_and_are_not_delivered(
    operator: Operator, remotes: Remotes, top: Path
) -> None:
    digests = {name: hashlib.sha256(data.read_bytes()).hexdigest() for name, data in _files(top).items()}
    manifest = {**digests, "a b/two": WRONG, "large": WRONG, "gone": WRONG, "a b/ü": WRONG}
    prefix = uuid4().hex
    batch_id = start(
        operator,
        send_list(operator, sums_of(manifest), "sha256sums"),
        base=str(top),
        deliver_to={"target": "directory", "prefix": prefix},
    )
    batch = ended(operator, batch_id)
    assert batch["counts"]["failures"] == {"manifest_mismatch": 2}
    assert skipped(operator, batch_id) == {
        str(top / "gone"): "source_missing",
        str(top / "a b" / "ü"): "not_a_regular_file",
    }
    failures = failed(operator, batch_id)
    assert failures.keys() == {"a b/two", "large"}
    for name, file in failures.items():
        assert digests[name] in file["error"]["detail"]
        assert WRONG in file["error"]["detail"]
        assert file["attempts"] == 1
    assert names_beneath(remotes.directory / prefix) == {
        name: digest for name, digest in digests.items() if name not in failures
    }


def test_retry_takes_a_file_that_was_mended_after_the_manifest_did_not_match(operator: Operator, top: Path) -> None:
    right = sha256_of(top / "one")
    whole = (top / "one").read_bytes()
    (top / "one").write_bytes(b"damaged")
    batch_id = start(operator, send_list(operator, sums_of({"one": right}), "sha256sums"), base=str(top))
    assert ended(operator, batch_id)["counts"]["failures"] == {"manifest_mismatch": 1}
    (top / "one").write_bytes(whole)
    operator.http.post(f"/batches/{batch_id}/retry")
    batch = ended(operator, batch_id)
    assert (batch["counts"]["failures"], batch["counts"]["files"]["STORED"]["count"]) == ({}, 1)


def test_file_of_another_length_fails_without_being_read(operator: Operator, top: Path) -> None:
    lines = [{"path": "one", "length": 3000}, {"path": "four", "length": 1}, {"path": "large", "length": 2**40}]
    text = "\n".join(map(json.dumps, lines)).encode()
    batch_id = start(operator, send_list(operator, text, "jsonl"), base=str(top))
    batch = ended(operator, batch_id)
    assert batch["counts"]["failures"] == {"manifest_mismatch": 2}
    failures = failed(operator, batch_id)
    assert {name: file["stored_bytes"] for name, file in failures.items()} == {"four": 0, "large": 0}
    assert "20971520 bytes" in failures["large"]["error"]["detail"]


def test_paths_that_nul_separates_are_taken_and_those_with_line_breaks_are_skipped(
    operator: Operator, top: Path
) -> None:
    (top / "two\nlines").write_bytes(b"x")
    text = b"\0".join(str(top / name).encode() for name in ("one", "two\nlines", "a b"))
    batch_id = start(operator, send_list(operator, text, "paths0"), base=str(top))
    assert ended(operator, batch_id)["summary"]["files"] == 3
    assert skipped(operator, batch_id) == {f"$'{top}/two\\x0alines'": "control_characters"}


def test_planned_list_can_be_started_and_names_that_clash_are_told(operator: Operator, top: Path) -> None:
    (top / "a b" / "one").write_bytes(b"another")
    text = f"{top}/one\n{top}/a b/one\n{top}/one\n".encode()
    batch_id = start(operator, send_list(operator, text, "paths"), dry_run=True)
    batch = wait_for(
        lambda: (found := get(operator, batch_id))["state"] == "PLANNED" and found, seconds=20, what="it is planned"
    )
    assert batch["counts"]["skipped"] == {"name_clash": 1}
    operator.http.post(f"/batches/{batch_id}/start")
    batch = ended(operator, batch_id)
    assert (batch["summary"]["files"], batch["counts"]["skipped"]) == (1, {"name_clash": 1})


def test_list_stays_as_long_as_its_batches(operator: Operator, top: Path) -> None:
    list_id = send_list(operator, b"one", "paths")
    batches = [start(operator, list_id, base=str(top)) for _ in range(2)]
    for batch_id in batches:
        ended(operator, batch_id)
        assert operator.http.get(f"/lists/{list_id}").json()["expires_at"] is None
    for batch_id, status in zip(batches, (200, 404), strict=True):
        operator.http.delete(f"/batches/{batch_id}")
        wait_for(lambda one=batch_id: is_deleted(operator, one), seconds=30, what="the batch is deleted")  # type: ignore[misc]
        assert operator.http.get(f"/lists/{list_id}").status_code == status
    with operator.database() as database:
        assert database["list_pages"].count_documents({"list_id": ObjectId(list_id)}) == 0


def test_batch_whose_list_went_away_says_so_and_can_be_retried_or_deleted(operator: Operator, top: Path) -> None:
    list_id = send_list(operator, b"one", "paths")
    with operator.database() as database:
        database["list_pages"].delete_many({"list_id": ObjectId(list_id)})
    batch_id = start(operator, list_id, base=str(top))
    batch = ended(operator, batch_id)
    assert (batch["error"]["code"], batch["registered"]) == ("list_gone", False)
    assert operator.http.delete(f"/batches/{batch_id}").status_code == 202


def _files(top: Path) -> dict[str, Path]:
    return {str(path.relative_to(top)): path for path in top.rglob("*") if path.is_file()}

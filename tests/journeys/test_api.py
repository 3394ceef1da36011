"""The api's answers, over HTTP, from the running system."""

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from gridhaul.asgi import documentation
from gridhaul.embedded.system import System
from tests.journeys.operator import MIB, Operator, make_file, sha256_of, wait_for


def problem(response: httpx2.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["status"] == response.status_code
    assert {"type", "title", "detail", "instance", "code"} <= set(body)
    return response.status_code, body["code"]


def test_prepare_answers_with_the_registered_file(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "run42.json", MIB + 1)
    response = operator.http.post("/upload/prepare", json={"file_path": str(path)})
    body = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/files/{body['file_id']}"
    assert (body["name"], body["content_type"]) == ("run42.json", "application/json")
    assert (body["length"], body["chunk_size"], body["chunk_count"]) == (MIB + 1, MIB, 2)


@pytest.mark.parametrize("token", [None, "wrong", "x" * 5000])
@pytest.mark.parametrize("call", ["GET /files", "GET /files/{id}", "DELETE /files/{id}", "POST /upload/prepare"])
def test_without_the_token_nothing_is_answered(system: System, call: str, token: str | None) -> None:
    method, path = call.replace("{id}", "0" * 24).split()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = httpx2.request(method, system.url + path, headers=headers, trust_env=False)
    assert problem(response) == (401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/etc/passwd", (403, "path_not_allowed")),
        ("{sources}/../../etc/passwd", (403, "path_not_allowed")),
        ("{sources}-evil/x", (403, "path_not_allowed")),
        ("{sources}/leaving", (403, "path_not_allowed")),
        ("{sources}/absent", (404, "source_missing")),
        ("{sources}", (422, "not_a_regular_file")),
        ("{sources}/folder", (422, "not_a_regular_file")),
        ("{sources}/fifo", (422, "not_a_regular_file")),
        ("relative", (422, "path_invalid")),
        ("{sources}/a\x00b", (422, "path_invalid")),
        ("/" + "x" * 5000, (422, "path_invalid")),
    ],
)
def test_prepare_takes_only_regular_files_beneath_a_root(
    operator: Operator, sources: Path, path: str, answer: tuple[int, str]
) -> None:
    (sources / "folder").mkdir(exist_ok=True)
    if not (sources / "fifo").exists():
        os.mkfifo(sources / "fifo")
        (sources / "leaving").symlink_to("/etc/passwd")
    body = {"file_path": path.replace("{sources}", str(sources))}
    assert problem(operator.http.post("/upload/prepare", json=body)) == answer


def test_same_idempotency_key_at_once_gives_one_file(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "once.bin", 10)
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: operator.prepare(path, key="the-same"), range(16)))
    assert len(ids) == 1
    other = operator.http.post(
        "/upload/prepare",
        json={"file_path": str(make_file(sources / "other.bin", 10))},
        headers={"Idempotency-Key": "the-same"},
    )
    assert problem(other) == (422, "idempotency_conflict")


def test_unknown_target_and_url_as_target_are_refused(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "nowhere.bin", 10)
    for target in ("nowhere", "http://127.0.0.1/"):
        body = {"file_path": str(path), "deliver_to": {"target": target}}
        assert problem(operator.http.post("/upload/prepare", json=body)) == (422, "target_unknown")


@pytest.mark.parametrize("name", ["../up", "/absolute", "a//b", "a/./b", "nul\x00", "line\nbreak", "x" * 300])
def test_object_names_that_leave_or_break_are_refused(operator: Operator, sources: Path, name: str) -> None:
    path = make_file(sources / "named.bin", 10)
    body = {"file_path": str(path), "deliver_to": {"target": "directory", "object_name": name}}
    assert problem(operator.http.post("/upload/prepare", json=body)) == (422, "invalid_value")


def test_finalize_answers_each_case_as_written(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "finalized.bin", 2 * MIB)
    sha256 = sha256_of(path)
    file_id = operator.prepare(path)
    operator.stored(file_id)
    url = f"/upload/{file_id}/finalize"
    assert problem(operator.http.post(url, json={"target": "directory"})) == (400, "digest_required")
    bad = {"content-sha256": "xyz"}
    assert problem(operator.http.post(url, json={"target": "directory"}, headers=bad)) == (400, "malformed")
    assert problem(operator.finalize(file_id, "0" * 64, "directory")) == (422, "digest_mismatch")
    assert problem(operator.finalize(file_id, sha256, "directory", length=1)) == (422, "length_mismatch")
    assert problem(operator.finalize("0" * 24, sha256, "directory")) == (404, "not_found")
    assert problem(operator.finalize("nonsense", sha256, "directory")) == (422, "invalid_value")
    first = operator.finalize(file_id, sha256, "directory")
    assert first.status_code == 202
    repeated = operator.finalize(file_id, sha256, "directory")
    assert (repeated.status_code, repeated.json()["delivery_id"]) == (200, first.json()["delivery_id"])
    other = operator.finalize(file_id, sha256, "directory", if_exists="overwrite")
    assert problem(other) == (409, "options_conflict")
    structured = base64.b64encode(bytes.fromhex(sha256)).decode()
    headers = {"Repr-Digest": f"sha-256=:{structured}:"}
    spelled = operator.http.post(f"/upload/{file_id}/finalise", json={"target": "directory"}, headers=headers)
    assert (spelled.status_code, spelled.json()["delivery_id"]) == (200, first.json()["delivery_id"])
    whole = operator.http.post(url, json={"target": "directory", "length": 2.0 * MIB}, headers=headers)
    assert (whole.status_code, whole.json()["delivery_id"]) == (200, first.json()["delivery_id"])
    contradicting = headers | {"content-sha256": "0" * 64}
    response = operator.http.post(url, json={"target": "directory"}, headers=contradicting)
    assert problem(response) == (422, "digest_mismatch")


def test_finalize_before_the_file_is_stored_is_told_to_wait(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "early.bin", 120 * MIB)
    sha256 = sha256_of(path)
    file_id = operator.prepare(path)
    response = operator.finalize(file_id, sha256, "directory")
    assert problem(response) == (409, "not_stored")
    assert int(response.headers["retry-after"]) > 0
    operator.stored(file_id)
    assert operator.finalize(file_id, sha256, "directory").status_code == 202
    operator.delivered(file_id)


def test_many_finalize_calls_at_once_give_one_delivery(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "many.bin", MIB)
    file_id = operator.prepare(path)
    sha256 = operator.stored(file_id)["digests"]["sha-256"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: operator.finalize(file_id, sha256, "directory"), range(16)))
    assert {answer.json()["delivery_id"] for answer in answers} == {operator.deliveries(file_id)[0]["delivery_id"]}
    assert sorted(answer.status_code for answer in answers) == [200] * 15 + [202]


def test_listing_pages_through_all_files_newest_first(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "listed.bin", 1)
    ids = [operator.prepare(path) for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = operator.http.get("/files", params=params).json()
        seen += [file["file_id"] for file in page["files"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen[:5] == ids[::-1]
    assert len(seen) == len(set(seen))
    for file_id in ids:
        operator.stored(file_id)
    stored = operator.http.get("/files", params={"state": "STORED", "limit": 1000}).json()["files"]
    assert set(ids) <= {file["file_id"] for file in stored}
    assert problem(operator.http.get("/files", params={"cursor": "x"})) == (422, "invalid_value")


@pytest.mark.parametrize("length", [0, 1, 15 * MIB, 33 * MIB + 1])
def test_content_downloads_whole_with_its_digest(operator: Operator, sources: Path, length: int) -> None:
    path = make_file(sources / f"download-{length}.txt", length)
    file_id = operator.prepare(path, key=None)
    operator.stored(file_id)
    response = operator.http.get(f"/files/{file_id}/content")
    assert response.content == path.read_bytes()
    assert response.headers["content-length"] == str(length)
    assert response.headers["etag"] == f'"{sha256_of(path)}"'
    assert response.headers["repr-digest"].startswith("sha-256=:")


def test_delete_removes_the_bytes_and_keeps_the_record(operator: Operator, sources: Path, remotes: object) -> None:
    path = make_file(sources / "deleted.bin", 20 * MIB)
    file_id = operator.prepare(path, to="directory")
    operator.delivered(file_id)
    assert operator.http.delete(f"/files/{file_id}").status_code == 202
    wait_for(lambda: operator.file(file_id)["state"] == "DELETED", seconds=20, what="the file is deleted")
    with operator.database() as database:
        content_id = database["files"].find_one({"name": "deleted.bin"})["content_id"]
        assert database["fs.chunks"].count_documents({"files_id": content_id}) == 0
        assert database["fs.files"].count_documents({"_id": content_id}) == 0
    assert operator.http.delete(f"/files/{file_id}").status_code == 202
    assert problem(operator.http.get(f"/files/{file_id}/content")) == (409, "state_conflict")


def test_a_file_with_an_open_delivery_can_not_be_deleted(operator: Operator, sources: Path) -> None:
    path = make_file(sources / "open.bin", 60 * MIB)
    file_id = operator.prepare(path)
    sha256 = operator.stored(file_id)["digests"]["sha-256"]
    operator.finalize(file_id, sha256, "webdav")
    assert problem(operator.http.delete(f"/files/{file_id}")) == (409, "delivery_open")
    operator.delivered(file_id)


def test_every_other_error_is_a_problem_document_too(operator: Operator) -> None:
    assert problem(operator.http.get("/nowhere"))[0] == 404
    assert problem(operator.http.put("/files"))[0] == 405
    assert operator.http.put("/files").headers["allow"] == "GET, POST"
    assert operator.http.put(f"/files/{'0' * 24}").headers["allow"] == "DELETE, GET"
    assert problem(operator.http.get("/files/"))[0] == 404
    assert problem(operator.http.get("/files/xyz"))[0] == 422
    assert problem(operator.http.get(f"/files/{'0' * 24}")) == (404, "not_found")
    json = {"Content-Type": "application/json"}
    assert problem(operator.http.post("/upload/prepare", content=b"{", headers=json)) == (400, "malformed")
    assert problem(operator.http.post("/upload/prepare", json={"file_path": 7}))[0] == 422
    assert "7" not in operator.http.post("/upload/prepare", json={"file_path": 7}).json()["detail"]


def test_health_and_documentation_need_no_token(system: System) -> None:
    for path in ("/", "/healthz", "/readyz", "/openapi.json", *documentation.PATHS):
        assert httpx2.get(system.url + path, trust_env=False).status_code == 200, path
    assert httpx2.get(system.url + "/readyz", trust_env=False).json()["redis"] == "ok"

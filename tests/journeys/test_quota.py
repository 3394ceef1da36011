"""Quota and open files of an account, over HTTP: files over a limit are refused until there is room again."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import psutil
import pytest

from gridhaul.embedded.system import System
from tests.journeys.operator import MIB, Operator, make_file, wait_for
from tests.journeys.test_accounts import calling, log_in, make_account
from tests.journeys.test_api import problem

LENGTH = MIB + MIB // 2


@contextmanager
def account(system: System, operator: Operator, username: str, **limits: int) -> Iterator[httpx2.Client]:
    make_account(operator, username, **limits)
    with calling(system, log_in(system, username).json()["access_token"]) as http:
        yield http


def prepare(http: httpx2.Client, path: Path) -> httpx2.Response:
    return http.post("/upload/prepare", json={"file_path": str(path)})


def prepared(http: httpx2.Client, path: Path) -> str:
    answer = prepare(http, path)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["file_id"])


def wait_until(http: httpx2.Client, file_id: str, state: str) -> None:
    wait_for(lambda: http.get(f"/files/{file_id}").json()["state"] == state, seconds=60, what=f"the file is {state}")


def used_bytes(http: httpx2.Client) -> int:
    return int(http.get("/account").json()["used_bytes"])


@pytest.fixture(scope="module")
def source(sources: Path) -> Path:
    return make_file(sources / "one-and-a-half.bin", LENGTH)


def test_quota_refuses_a_third_file_until_one_is_deleted(operator: Operator, system: System, source: Path) -> None:
    with account(system, operator, "quota", quota_bytes=3 * MIB) as http:
        first, second = prepared(http, source), prepared(http, source)
        refused = prepare(http, source)
        assert problem(refused) == (507, "quota_exceeded")
        assert f"{3 * MIB} bytes" in refused.json()["detail"]
        assert "delete files" in refused.json()["detail"]
        assert {file["file_id"] for file in http.get("/files").json()["files"]} == {first, second}
        assert used_bytes(http) == operator.http.get("/accounts/quota").json()["used_bytes"] == 2 * LENGTH

        wait_until(http, first, "STORED")
        assert http.delete(f"/files/{first}").status_code == 202
        wait_until(http, first, "DELETED")
        wait_for(lambda: used_bytes(http) == LENGTH, seconds=10, what="the bytes of the deleted file are free")
        wait_until(http, prepared(http, source), "STORED")


def test_prepares_at_once_never_use_more_than_the_quota(operator: Operator, system: System, source: Path) -> None:
    with account(system, operator, "at-once", quota_bytes=10 * LENGTH) as http, ThreadPoolExecutor(20) as pool:
        answers = [answer.status_code for answer in pool.map(lambda _: prepare(http, source), range(20))]
        assert (answers.count(202), answers.count(507)) == (10, 10)
        assert len(http.get("/files").json()["files"]) == 10
        assert used_bytes(http) == 10 * LENGTH


@contextmanager
def workers_held(system: System) -> Iterator[None]:
    children = [child for name in ("worker_small", "worker_large") for child in _children(system, name)]
    for child in children:
        child.suspend()
    try:
        yield
    finally:
        for child in children:
            child.resume()


def _children(system: System, program: str) -> list[psutil.Process]:
    return psutil.Process(system.pid(program)).children()


def test_open_files_are_limited_until_workers_have_stored_some(
    operator: Operator, system: System, source: Path
) -> None:
    with account(system, operator, "open-files", max_open_files=2) as http:
        with workers_held(system):
            waiting = [prepared(http, source) for _ in range(2)]
            refused = prepare(http, source)
            assert problem(refused) == (429, "too_many_open_files")
            assert int(refused.headers["Retry-After"]) > 0
        wait_until(http, waiting[0], "STORED")
        wait_until(http, prepared(http, source), "STORED")


def test_gc_puts_a_wrong_count_right(operator: Operator, system: System, source: Path) -> None:
    with account(system, operator, "recounted") as http:
        wait_until(http, prepared(http, source), "STORED")
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        with operator.database() as database:
            wrong = {"$set": {"used_bytes": 7 * LENGTH, "charged_at": long_ago}}
            assert database["auth"].update_one({"username": "recounted"}, wrong).matched_count == 1
        findings = [one for one in operator.gc()["findings"] if one["name"] == "recounted"]
        assert [(one["code"], one["outcome"]) for one in findings] == [("usage_wrong", "repaired")]
        assert used_bytes(http) == LENGTH

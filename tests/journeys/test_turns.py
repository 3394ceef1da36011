"""Accounts take turns: nobody waits for everything that another account has queued before."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from tests.journeys.conftest import Remotes
from tests.journeys.operator import Operator, wait_for
from tests.journeys.test_batch import get, start

FILES = 20
MANY = 4000


@pytest.fixture
def other(operator: Operator) -> Iterator[httpx2.Client]:
    """Yield a client of a new account."""
    name, password = f"other-{uuid4().hex[:8]}", "correct horse battery staple"
    scopes = ["prepare", "finalize", "read"]
    body = {"username": name, "password": password, "scopes": scopes, "roots": None, "targets": None}
    made = operator.http.post("/accounts", json=body)
    assert made.status_code == 201, made.text
    token = httpx2.post(f"{operator.system.url}/auth/token", data={"username": name, "password": password})
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
    with httpx2.Client(base_url=operator.system.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


def seconds_until_delivered(client: httpx2.Client, folder: Path) -> float:
    """Prepare FILES small files, and return how long the last of them takes to be DELIVERED."""
    folder.mkdir()
    began_at = time.monotonic()
    ids = []
    for n in range(FILES):
        (folder / f"{n}.bin").write_bytes(bytes([n]) * 1000)
        to = {"target": "directory", "object_name": f"{folder.name}/{n}.bin"}
        body = {"file_path": str(folder / f"{n}.bin"), "deliver_to": to}
        ids.append(client.post("/upload/prepare", json=body).json()["file_id"])

    def delivered(file_id: str) -> bool:
        deliveries = client.get(f"/files/{file_id}/deliveries").json()["deliveries"]
        return any(one["state"] == "DELIVERED" for one in deliveries)

    for file_id in ids:
        wait_for(lambda: delivered(file_id), seconds=60, what="the file is delivered")  # noqa: B023 - called at once
    return time.monotonic() - began_at


@pytest.mark.alone
def test_small_files_of_another_account_do_not_wait_for_a_batch(
    operator: Operator, other: httpx2.Client, remotes: Remotes, sources: Path
) -> None:
    tree = sources / f"many-{uuid4().hex[:8]}"
    tree.mkdir()
    for n in range(MANY):
        (tree / f"{n}.bin").write_bytes(bytes([n % 251]) * 100_000)
    alone = seconds_until_delivered(other, sources / f"alone-{uuid4().hex[:8]}")
    batch_id = start(operator, tree, deliver_to={"target": "directory"})
    wait_for(lambda: get(operator, batch_id)["registered"], seconds=30, what="the batch is registered")
    beside = seconds_until_delivered(other, sources / f"beside-{uuid4().hex[:8]}")
    assert get(operator, batch_id)["state"] == "RUNNING", "the batch ended too soon to be in the way"
    assert beside <= alone + 6
    assert operator.http.delete(f"/batches/{batch_id}", params={"cancel": "true"}).status_code == 202


@pytest.mark.alone
def test_small_files_of_another_account_do_not_wait_for_forty_larger_ones(
    operator: Operator, other: httpx2.Client, sources: Path
) -> None:
    folder = sources / f"forty-{uuid4().hex[:8]}"
    folder.mkdir()
    for n in range(40):
        with (folder / f"{n}.bin").open("wb") as file:
            file.truncate(60 << 20)
    alone = seconds_until_delivered(other, sources / f"alone-{uuid4().hex[:8]}")
    began_at = time.monotonic()
    operator.stored(operator.prepare(folder / "0.bin"))
    one_file = time.monotonic() - began_at
    ids = [operator.prepare(folder / f"{n}.bin") for n in range(1, 40)]
    beside = seconds_until_delivered(other, sources / f"beside-{uuid4().hex[:8]}")
    states = {operator.http.get(f"/files/{file_id}").json()["state"] for file_id in ids}
    assert "REGISTERED" in states, "the forty files were stored too soon to be in the way"
    # A turn for the small files, another for their deliveries, and one more for those that were prepared meanwhile.
    assert beside <= alone + 5 * one_file + 4
    for file_id in ids:
        operator.http.delete(f"/files/{file_id}", params={"cancel": "true"})

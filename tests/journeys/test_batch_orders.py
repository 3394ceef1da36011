"""Actions on a batch in odd orders: it never says DONE of something that was not done, and never hangs."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest

from tests.journeys.conftest import Remotes
from tests.journeys.operator import Operator, wait_for
from tests.journeys.test_batch import ended, get, names_beneath, paused, start, tree
from tests.journeys.test_batch_plan import planned

__all__ = ["tree"]

PASSWORD = "correct horse battery staple"


@pytest.fixture
def with_quota(operator: Operator, tree: Path) -> Iterator[httpx2.Client]:
    """Yield a client of a new account whose quota is what the folder `a` of the tree has, and 500 bytes."""
    name = f"quota-{uuid4().hex[:8]}"
    quota = sum(path.stat().st_size for path in (tree / "a").iterdir()) + 500
    body = {"username": name, "password": PASSWORD, "scopes": ["prepare", "finalize", "read"], "quota_bytes": quota}
    assert operator.http.post("/accounts", json=body).status_code == 201
    token = httpx2.post(f"{operator.system.url}/auth/token", data={"username": name, "password": PASSWORD}).json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    with httpx2.Client(base_url=operator.system.url, headers=headers, trust_env=False, timeout=30) as client:
        yield client


def test_retry_of_a_plan_that_was_cancelled_sends_everything(operator: Operator, remotes: Remotes, tree: Path) -> None:
    batch_id = start(operator, tree, deliver_to={"target": "directory"}, dry_run=True)
    planned(operator, batch_id)
    assert operator.http.post(f"/batches/{batch_id}/cancel").status_code == 200
    assert operator.http.post(f"/batches/{batch_id}/start").status_code == 409
    assert operator.http.post(f"/batches/{batch_id}/retry").status_code == 200
    batch = ended(operator, batch_id, seconds=60)
    assert (batch["state"], batch["summary"]["files"]) == ("DONE", 61)
    assert names_beneath(remotes.directory / tree.name) == names_beneath(tree)


def test_batch_that_is_paused_and_then_cancelled_and_retried_at_once_is_done(operator: Operator, tree: Path) -> None:
    batch_id = start(operator, tree, deliver_to={"target": "directory"})
    operator.http.post(f"/batches/{batch_id}/pause")
    wait_for(lambda: paused(operator, batch_id), seconds=30, what="all members are paused")
    for action in ("cancel", "retry"):
        assert operator.http.post(f"/batches/{batch_id}/{action}").status_code == 200
    assert ended(operator, batch_id, seconds=60)["counts"]["deliveries"]["DELIVERED"]["count"] == 61


def test_path_that_is_named_twice_is_charged_once(operator: Operator, with_quota: httpx2.Client, tree: Path) -> None:
    body = {"paths": [f"{tree}/a", f"{tree}/a"]}
    batch_id = with_quota.post("/batches", json=body).json()["batch_id"]
    batch = ended(operator, batch_id, seconds=60)
    assert (batch["error"], batch["registered"], batch["summary"]["files"]) == (None, True, 20)


def test_files_that_fit_into_the_quota_are_stored_and_the_batch_says_why_it_ended(
    operator: Operator, with_quota: httpx2.Client, tree: Path
) -> None:
    batch_id = with_quota.post("/batches", json={"paths": [f"{tree}/a", f"{tree}/b"]}).json()["batch_id"]
    batch = ended(operator, batch_id, seconds=60)
    assert batch["error"]["code"] == "quota_exceeded"
    assert not batch["registered"]
    assert batch["summary"]["files"] == 21  # those of `a`, and the empty one of `b`
    assert get(operator, batch_id)["state"] == "DONE"

"""`/checks`: a check is started once, shown with its findings, listed, cancelled, or refused."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gridhaul.transfer.checks import RUNNABLE, CheckState, Cursor, Stage
from gridhaul.transfer.findings import Finding, FindingCode, Outcome
from gridhaul.transfer.model import RecordId
from tests.api.service import Api, serving
from tests.contracts.ports import Checks, Ports, destination, new_delivery, registered

UNKNOWN = "f" * 24


@pytest.fixture
def checks(ports: Ports) -> Checks:
    return ports.checks


@pytest.fixture
async def api(ports: Ports, checks: Checks) -> AsyncIterator[Api]:
    async with serving(ports) as found:
        yield found


async def test_check_is_queued_hinted_and_found_at_its_address(api: Api) -> None:
    answer = await api.http.post("/checks", json={})
    check = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/checks/{check['check_id']}")
    assert (check["kind"], check["mode"], check["state"], check["file_id"]) == ("fsck", "report", "QUEUED", None)
    assert api.hinted() == [("tasks.run_check", check["check_id"])]
    assert (await api.http.get(answer.headers["Location"])).json() == check


async def test_same_check_is_started_once_while_it_is_open(api: Api) -> None:
    first, again = [await api.http.post("/checks", json={"mode": "repair"}) for _ in range(2)]
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json() == again.json()
    other = await api.http.post("/checks", json={"mode": "dry_run"})
    assert other.status_code == 202
    assert len(api.hints) == 2


async def test_delivery_stands_for_its_file(api: Api, ports: Ports) -> None:
    file = await registered(ports)
    delivery, _ = await ports.deliveries.open(new_delivery(destination(), file_id=file.id))
    of_file = await api.http.post("/checks", json={"id": file.id})
    of_delivery = await api.http.post("/checks", json={"id": delivery.id})
    assert of_file.json()["file_id"] == file.id
    assert (of_delivery.status_code, of_delivery.json()) == (200, of_file.json())


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"id": UNKNOWN}, 404, "not_found"),
        ({"id": "x"}, 422, "invalid_value"),
        ({"kind": "gc", "id": UNKNOWN}, 422, "invalid_value"),
        ({"kind": "all"}, 422, "invalid_value"),
        ({"mode": "fix"}, 422, "invalid_value"),
        ({"bytes_per_second": 0}, 422, "invalid_value"),
        ({"bytes_per_second": "1"}, 422, "invalid_value"),
        ({"repair": True}, 422, "invalid_value"),
    ],
)
async def test_order_that_makes_no_sense_is_refused(api: Api, body: dict[str, Any], status: int, code: str) -> None:
    answer = await api.http.post("/checks", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not api.hints


async def test_findings_and_progress_are_shown(api: Api, checks: Checks) -> None:
    check_id = (await api.http.post("/checks", json={})).json()["check_id"]
    taken = await checks.claim(RecordId(check_id), holder="w", from_states=RUNNABLE, to_state=CheckState.RUNNING)
    assert taken is not None
    finding = Finding(
        code=FindingCode.CHUNK_CORRUPT,
        detail="d",
        content_id=RecordId("a" * 24),
        n=7,
        upload_id="u",
        outcome=Outcome.NOT_REPAIRED,
        why_not="w",
    )
    done = {"found": 1, "counts": {"chunk_corrupt": 1}, "findings": (finding,), "checked_bytes": 5}
    await checks.renew(taken.lease, cursor=Cursor(stage=Stage.CONTENTS), **done)
    shown = (await api.http.get(f"/checks/{check_id}")).json()
    assert (shown["state"], shown["stage"], shown["found"], shown["counts"]) == (
        "RUNNING",
        "contents",
        1,
        {"chunk_corrupt": 1},
    )
    assert shown["findings"] == [
        {
            "code": "chunk_corrupt",
            "detail": "d",
            "content_id": "a" * 24,
            "file_id": None,
            "delivery_id": None,
            "n": 7,
            "target": None,
            "name": None,
            "upload_id": "u",
            "outcome": "not_repaired",
            "why_not": "w",
        }
    ]


async def test_open_check_is_cancelled_and_one_that_is_over_is_not(api: Api, checks: Checks) -> None:
    cancelled = (await api.http.post("/checks", json={})).headers["Location"]
    for _ in range(2):
        answer = await api.http.post(f"{cancelled}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "CANCELLED")
    done = (await api.http.post("/checks", json={})).headers["Location"]
    assert done != cancelled
    check_id = RecordId(done.rpartition("/")[2])
    taken = await checks.claim(check_id, holder="w", from_states=RUNNABLE, to_state=CheckState.RUNNING)
    assert taken is not None
    await checks.finish(taken.lease, CheckState.DONE)
    assert (await api.http.post(f"{done}/cancel")).json()["code"] == "state_conflict"


async def test_checks_are_listed_newest_first_page_by_page(api: Api) -> None:
    made = [
        (await api.http.post("/checks", json={"kind": kind})).json()["check_id"] for kind in ("fsck", "gc", "scrub")
    ]
    page = (await api.http.get("/checks", params={"limit": 2})).json()
    rest = (await api.http.get("/checks", params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [check["check_id"] for check in page["checks"] + rest["checks"]] == made[::-1]
    assert rest["next_cursor"] is None


async def test_checks_are_listed_by_kind_and_by_file_page_by_page(api: Api, ports: Ports) -> None:
    file = await registered(ports)
    orders: tuple[dict[str, str], ...] = ({"kind": "gc"}, {"id": file.id}, {}, {"id": file.id, "mode": "repair"})
    made = [(await api.http.post("/checks", json=order)).json()["check_id"] for order in orders]

    async def listed(**query: Any) -> list[int]:
        page = (await api.http.get("/checks", params=query)).json()
        following = await listed(**query, cursor=page["next_cursor"]) if page["next_cursor"] else []
        return [*(made.index(check["check_id"]) for check in page["checks"]), *following]

    assert await listed(kind="fsck", limit=3) == [3, 2, 1]
    assert await listed(kind="gc") == [0]
    assert await listed(kind="scrub") == []
    assert await listed(file=file.id) == [3, 1]
    assert await listed(file=file.id, kind="fsck", limit=10) == [3, 1]
    assert await listed(file=UNKNOWN) == []


@pytest.mark.parametrize("query", [{"kind": "all"}, {"kind": ""}, {"file": "x"}, {"file": ""}])
async def test_list_by_something_that_is_none_is_refused(api: Api, query: dict[str, str]) -> None:
    answer = await api.http.get("/checks", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")


@pytest.mark.parametrize("path", [f"/checks/{UNKNOWN}", f"/checks/{UNKNOWN}/cancel"])
async def test_unknown_check_is_not_found(api: Api, path: str) -> None:
    method = "POST" if path.endswith("cancel") else "GET"
    assert (await api.http.request(method, path)).status_code == 404


async def test_request_without_a_token_is_refused(api: Api) -> None:
    for method, path in (("POST", "/checks"), ("GET", "/checks"), ("GET", f"/checks/{UNKNOWN}")):
        answer = await api.http.request(method, path, headers={"Authorization": "Bearer nothing"}, json={})
        assert answer.status_code == 401

"""Lists: which parameters go together, the pages, `Link`, and JSON Lines."""

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest

from api.listing import DELIVERY_LISTS, FILE_LISTS, LINES
from gridhaul.transfer.states import FILE_MOVES, Action
from tests.api.house import House, bearer
from tests.api.service import Api
from tests.contracts.ports import Ports, destination, new_delivery, new_file, registered

BATCH = "b" * 24
SHARED = {
    "batch": BATCH,
    "target": "archive",
    "name_prefix": "run",
    "owner": "operator",
    "state": "FAILED",
    "created_after": "2025-11-27T14:16:31Z",
    "created_before": "2025-11-27T14:16:31.5+02:00",
    "order=newest": "newest",
    "order=name": "name",
}
OF_ONE_ACCOUNT = {"target", "name_prefix", "order=name"}


@pytest.mark.parametrize(
    ("kind", "lists", "values"),
    [("files", FILE_LISTS, SHARED), ("deliveries", DELIVERY_LISTS, {**SHARED, "lost": "true"})],
)
async def test_lists_are_served_by_an_index_or_refused_by_name(
    api: Api, kind: str, lists: tuple[frozenset[str], ...], values: dict[str, str]
) -> None:
    for given in _subsets(values):
        params = {name.partition("=")[0]: values[name] for name in given}
        answer = await api.http.get(f"/{kind}", params=params)
        if not any(given <= together for together in lists):
            assert (answer.status_code, answer.json()["code"]) == (422, "not_combinable"), given
            assert answer.json()["invalid"] == sorted(f"query.{name}" for name in params)
        elif given & OF_ONE_ACCOUNT and not given & {"owner", "batch"}:
            assert (answer.status_code, "query.owner" in answer.json()["invalid"]) == (422, True), given
        else:
            assert (answer.status_code, answer.json()) == (200, {kind: [], "next_cursor": None}), given


async def test_refusal_says_what_can_be_combined(api: Api) -> None:
    refused = (await api.http.get("/files", params={"batch": BATCH, "target": "archive"})).json()
    assert refused["detail"].startswith("No list combines batch target. The parameters that can be combined are: ")
    assert "; batch order=newest state;" in refused["detail"]


@pytest.mark.parametrize("time", ["1732717000", "2025-11-27", "2025-11-27T14:16:31", "x"])
async def test_time_without_an_offset_is_refused(api: Api, time: str) -> None:
    refused = await api.http.get("/files", params={"created_after": time})
    assert (refused.status_code, refused.json()["invalid"]) == (422, ["query.created_after"])


@pytest.mark.parametrize(("time", "shown"), [("0001-01-01T00:00:00+10:00", 1), ("9999-12-31T23:59:59.9-10:00", 0)])
async def test_time_at_the_end_of_the_calendar_is_before_or_after_every_record(
    api: Api, ports: Ports, time: str, shown: int
) -> None:
    await registered(ports)
    assert len((await api.http.get("/files", params={"created_after": time})).json()["files"]) == shown


async def test_links_lead_from_page_to_page_with_all_parameters(api: Api, ports: Ports) -> None:
    made = [await registered(ports, new_file(name=f"é {number}")) for number in range(5)]
    await ports.files.move(made[3].id, FILE_MOVES[Action.CANCEL])
    path = "/files?name_prefix=%C3%A9%20&owner=operator&state=REGISTERED&state=CANCELLED&limit=2"
    found: list[dict[str, Any]] = []
    while path:
        answer = await api.http.get(path)
        assert answer.headers["Vary"] == "Accept"
        found += answer.json()["files"]
        link = answer.links.get("next")
        assert (link is None) == (answer.json()["next_cursor"] is None)
        path = str(link["url"]) if link else ""
        assert path.count("cursor=") <= 1
    assert [file["file_id"] for file in found] == [file.id for file in made]


async def test_json_lines_have_the_records_of_the_list_and_its_link(api: Api, ports: Ports) -> None:
    for _ in range(3):
        await registered(ports)
    whole = (await api.http.get("/files", params={"limit": 2})).json()
    lines = await api.http.get("/files", params={"limit": 2}, headers={"Accept": LINES})
    assert lines.headers["Content-Type"].partition(";")[0] == LINES
    assert f"cursor={whole['next_cursor']}" in lines.links["next"]["url"]
    assert [json.loads(line) for line in lines.text.splitlines()] == whole["files"]


async def test_json_lines_of_deliveries_have_a_record_a_line(api: Api, ports: Ports) -> None:
    delivery, _ = await ports.deliveries.open(new_delivery(destination(object_name="a\u2028b")))
    lines = await api.http.get("/deliveries", headers={"Accept": f"text/plain, {LINES}; q=0.5"})
    (line, rest) = lines.text.split("\n")
    assert (json.loads(line)["delivery_id"], rest) == (delivery.id, "")
    assert "Link" not in lines.headers


@pytest.mark.parametrize("accept", ["*/*", "application/json", f"application/json, {LINES}", ""])
async def test_list_is_json_unless_lines_are_preferred(api: Api, accept: str) -> None:
    answer = await api.http.get("/files", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/json"


async def test_account_lists_and_counts_its_own_records_alone(house: House, ports: Ports) -> None:
    own = await registered(ports, replace(new_file(name="run-1"), owner="alice"))
    foreign = await registered(ports, new_file(name="run-2"))
    header = bearer(await house.key())
    for params in ({}, {"name_prefix": "run"}, {"order": "name", "owner": "alice"}):
        shown = (await house.http.get("/files", params=params, headers=header)).json()["files"]
        assert [file["file_id"] for file in shown] == [own.id], params
    for path in ("/files", "/deliveries", "/counts"):
        refused = await house.http.get(path, params={"owner": "operator"}, headers=header)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), path
    beyond = await house.http.get("/files", params={"cursor": foreign.id}, headers=header)
    assert beyond.status_code == 404
    counted = (await house.http.get("/counts", headers=header)).json()
    assert (counted["owner"], counted["files"]) == ("alice", {"REGISTERED": {"count": 1, "bytes": 5}})


def _subsets(values: dict[str, str]) -> list[frozenset[str]]:
    """Return every set of at most four parameters that has one order at most."""
    sets = [frozenset(some) for size in range(5) for some in itertools.combinations(values, size)]
    return [some for some in sets if not {"order=newest", "order=name"} <= some]

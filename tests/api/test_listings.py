"""The members of files, deliveries and their listings, and how refusals name what is wrong."""

from dataclasses import replace

import pytest

from gridhaul.transfer.states import DELIVERY_MOVES, FILE_MOVES, Action
from tests.api.service import Api
from tests.contracts.ports import (
    SHA256,
    Ports,
    destination,
    from_path,
    new_delivery,
    new_file,
    registered,
    stored,
)

EARLIEST_NS, LATEST_NS = -(2**62) * 40, 2**62 * 80


async def test_file_shows_its_source_and_where_it_goes(api: Api, ports: Ports) -> None:
    file = await registered(ports, new_file(deliver_to=[destination("archive", object_name="in/run.h5")]))
    shown = (await api.http.get(f"/files/{file.id}")).json()
    assert shown["file_path"] == "/srv/run.h5"
    assert shown["mtime"] == "2116-02-20T23:53:38.427387Z"
    assert shown["deliver_to"] == {"target": "archive", "object_name": "in/run.h5", "if_exists": "fail"}
    assert (await api.http.get(f"/files/{(await registered(ports)).id}")).json()["deliver_to"] is None


@pytest.mark.parametrize("mtime_ns", [EARLIEST_NS, LATEST_NS])
async def test_time_that_no_calendar_has_is_not_shown(api: Api, ports: Ports, mtime_ns: int) -> None:
    new = new_file()
    file = await registered(ports, from_path(new, identity=replace(new.source.identity, mtime_ns=mtime_ns)))
    assert (await api.http.get(f"/files/{file.id}")).json()["mtime"] is None


async def test_finalized_delivery_shows_the_path_of_the_source(api: Api, ports: Ports) -> None:
    file = await stored(ports)
    body, digest = {"target": "archive"}, {"content-sha256": SHA256}
    made = (await api.http.post(f"/upload/{file.id}/finalize", json=body, headers=digest)).json()
    assert made["source_path"] == file.source.path
    assert (await api.http.get(f"/deliveries/{made['delivery_id']}")).json()["source_path"] == file.source.path


async def test_files_in_several_states_are_listed(api: Api, ports: Ports) -> None:
    first, second, third = [await registered(ports) for _ in range(3)]
    await ports.files.move(second.id, FILE_MOVES[Action.CANCEL])
    await ports.files.move(third.id, FILE_MOVES[Action.PAUSE])
    assert await _listed(api, "files", state=["REGISTERED", "CANCELLED"]) == [second.id, first.id]
    assert await _listed(api, "files", state="PAUSED") == [third.id]
    assert await _listed(api, "files") == [third.id, second.id, first.id]


async def test_deliveries_in_several_states_are_listed(api: Api, ports: Ports) -> None:
    names = ["a", "b", "c"]
    made = [(await ports.deliveries.open(new_delivery(destination(object_name=name))))[0] for name in names]
    await ports.deliveries.move(made[1].id, DELIVERY_MOVES[Action.CANCEL])
    await ports.deliveries.move(made[2].id, DELIVERY_MOVES[Action.PAUSE])
    listed = await _listed(api, "deliveries", state=["QUEUED", "CANCELLED"])
    assert set(listed) == {made[0].id, made[1].id}
    assert len(await _listed(api, "deliveries")) == 3


@pytest.mark.parametrize("path", ["/files", "/deliveries"])
async def test_one_unknown_state_among_several_is_refused(api: Api, path: str) -> None:
    refused = await api.http.get(path, params={"state": ["FAILED", "LOST"]})
    assert (refused.status_code, refused.json()["invalid"]) == (422, ["query.state"])


@pytest.mark.parametrize(
    ("body", "invalid"),
    [
        ({"file_path": 7}, ["body.file_path"]),
        ({}, ["body.file_path"]),
        (
            {"file_path": "/a", "deliver_to": {"object_name": ""}},
            ["body.deliver_to.object_name", "body.deliver_to.target"],
        ),
        ({"file_path": "/a", "surprise": 1}, ["body"]),
        ({"file_path": "/a", "deliver_to": {"target": "t", "surprise": 1}}, ["body.deliver_to"]),
    ],
)
async def test_refusal_names_the_members_that_are_wrong(api: Api, body: object, invalid: list[str]) -> None:
    refused = await api.http.post("/upload/prepare", json=body)
    assert (refused.status_code, refused.json()["invalid"]) == (422, invalid)
    assert "surprise" not in refused.text


async def test_path_that_the_api_does_not_have_is_no_unknown_record(api: Api) -> None:
    refused = await api.http.get("/nowhere")
    assert (refused.status_code, refused.json()["code"]) == (404, "path_unknown")


async def _listed(api: Api, kind: str, **params: str | list[str]) -> list[str]:
    ids = {"files": "file_id", "deliveries": "delivery_id"}
    return [record[ids[kind]] for record in (await api.http.get(f"/{kind}", params=params)).json()[kind]]

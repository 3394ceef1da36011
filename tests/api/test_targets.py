"""`/targets`: what is shown of targets, and to whom; a requested probe; and deliveries that a target cannot promise."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from api.configured_targets import ConfiguredTargets
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.known_targets import PROBEABLE, TargetRecord, TargetState, target_id
from gridhaul.transfer.model import Failure, IfExists, RecordId
from tests.api.service import TARGETS, Api, serving
from tests.contracts.ports import SHA256, Ports, stored

ARCHIVE, MIRROR = TARGETS
ABLE = Abilities(atomic=True, exclusive=True, durable=True, resumable=True, digest="sha-256", free_space=True)
REPLACES = replace(ABLE, exclusive=False)
SILENT = Failure(code="target_unavailable", detail="The target did not answer.")
HOUR_SECONDS = 3600.0


@pytest.fixture
async def api(ports: Ports) -> AsyncIterator[Api]:
    await ports.seen_targets.configure(TARGETS)
    async with serving(ports) as found:
        yield found


async def see(ports: Ports, abilities: Abilities, *, last_seconds: float = HOUR_SECONDS) -> None:
    await ports.seen_targets.note(ARCHIVE.fingerprint, "archive", {}, abilities=abilities, last_seconds=last_seconds)


async def held(ports: Ports) -> TargetRecord:
    found = await ports.seen_targets.claim(
        target_id(ARCHIVE.fingerprint), holder="worker", from_states=PROBEABLE, to_state=TargetState.PROBING
    )
    assert found is not None
    return found


async def shown(api: Api, name: str = "archive") -> dict[str, Any]:
    answer = await api.http.get(f"/targets/{name}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_targets_are_listed_by_name(api: Api) -> None:
    answer = await api.http.get("/targets")
    targets = answer.json()["targets"]
    assert [one["name"] for one in targets] == ["archive", "mirror"]
    assert [await shown(api, one["name"]) for one in targets] == targets


async def test_target_that_was_not_seen_promises_nothing(api: Api) -> None:
    target = await shown(api)
    assert target.pop("next_probe_at") is not None, "a probe is due"
    assert target == {
        "name": "archive",
        "kind": "webdav",
        "allow_overwrite_race": False,
        "state": "WAITING",
        "abilities": None,
        "seen_at": None,
        "outdated": False,
        "tried_at": None,
        "error": None,
        "waiting": None,
        "links": {"self": "/targets/archive", "probe": "/targets/archive/probe"},
    }


async def test_target_shows_what_was_seen_and_how_the_last_probe_failed(api: Api, ports: Ports) -> None:
    await see(ports, ABLE)
    failed = await held(ports)
    assert (await shown(api))["state"] == "PROBING"
    await ports.seen_targets.release(failed.lease, TargetState.WAITING, delay_seconds=HOUR_SECONDS, error=SILENT)
    target = await shown(api)
    assert target["abilities"] == {
        "atomic": True,
        "exclusive": True,
        "durable": True,
        "resumable": True,
        "digest": "sha-256",
        "free_space": True,
    }
    assert target["error"] == {"code": SILENT.code, "detail": SILENT.detail}
    assert target["seen_at"] <= target["tried_at"] < target["next_probe_at"]
    await ports.seen_targets.outdate(ARCHIVE.fingerprint)
    outdated = await shown(api)
    assert (outdated["outdated"], outdated["seen_at"]) == (True, target["seen_at"])


async def test_target_whose_record_somebody_removed_is_shown_and_can_be_tested(ports: Ports) -> None:
    async with serving(ports) as api:
        assert (await shown(api))["next_probe_at"] is None
        assert (await api.http.post("/targets/archive/probe")).status_code == 202


async def test_requested_probe_is_hinted_and_still_to_come(api: Api, ports: Ports) -> None:
    done = await held(ports)
    await ports.seen_targets.release(done.lease, TargetState.WAITING, delay_seconds=HOUR_SECONDS, error=SILENT)
    answer = await api.http.post("/targets/archive/probe")
    assert (answer.status_code, answer.headers["Location"]) == (202, "/targets/archive")
    assert (answer.json()["tried_at"], answer.json()["error"]) == (None, None)
    assert api.hinted() == [("tasks.probe_target", target_id(ARCHIVE.fingerprint))]
    assert (await held(ports)).state is TargetState.PROBING


@pytest.mark.parametrize("name", ["nowhere", "a%20b", "Archive", "%00"])
@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("POST", "/probe")])
async def test_unknown_target_is_refused(api: Api, name: str, method: str, rest: str) -> None:
    answer = await api.http.request(method, f"/targets/{name}{rest}")
    assert (answer.status_code, answer.json()["code"]) == (422, "target_unknown")
    assert api.hints == []


async def prepare(api: Api, ports: Ports, if_exists: IfExists) -> httpx2.Response:
    body = {"file_path": "/srv/x", "deliver_to": {"target": "archive", "if_exists": if_exists}}
    return await api.http.post("/upload/prepare", json=body)


async def upload(api: Api, ports: Ports, if_exists: IfExists) -> httpx2.Response:
    body = {"name": "x", "length": 1, "deliver_to": [{"target": "mirror"}, _to_archive(if_exists)]}
    return await api.http.post("/uploads/chunks", json=body)


async def finalize(api: Api, ports: Ports, if_exists: IfExists) -> httpx2.Response:
    file_id: RecordId = (await stored(ports)).id
    headers = {"content-sha256": SHA256}
    return await api.http.post(f"/upload/{file_id}/finalize", json=_to_archive(if_exists), headers=headers)


async def batch(api: Api, ports: Ports, if_exists: IfExists) -> httpx2.Response:
    body = {"paths": ["/srv/x"], "deliver_to": [_to_archive(if_exists)]}
    return await api.http.post("/batches", json=body)


def _to_archive(if_exists: IfExists) -> dict[str, str]:
    return {"target": "archive", "if_exists": if_exists.value}


Ask = Callable[[Api, Ports, IfExists], Awaitable[httpx2.Response]]


@pytest.mark.parametrize("ask", [upload, finalize, batch])
@pytest.mark.parametrize("if_exists", IfExists)
async def test_delivery_that_the_target_cannot_promise_is_refused(
    api: Api, ports: Ports, ask: Ask, if_exists: IfExists
) -> None:
    await see(ports, REPLACES)
    answer = await ask(api, ports, if_exists)
    refused = if_exists is not IfExists.OVERWRITE
    assert (answer.status_code == 422) == refused
    if refused:
        assert answer.json()["code"] == "target_not_exclusive"
        assert "allow_overwrite_race = true for 'archive'" in answer.json()["detail"]
        assert api.hints == []


async def test_prepare_refuses_before_it_looks_at_the_source(api: Api, ports: Ports) -> None:
    await see(ports, REPLACES)
    assert (await prepare(api, ports, IfExists.RENAME)).json()["code"] == "target_not_exclusive"
    assert (await prepare(api, ports, IfExists.OVERWRITE)).json()["code"] == "source_missing"


@pytest.mark.parametrize("why", ["never seen", "exclusive", "too old", "outdated"])
async def test_delivery_is_accepted_unless_the_target_was_seen_lately_not_to_be_exclusive(
    api: Api, ports: Ports, why: str
) -> None:
    if why != "never seen":
        await see(ports, ABLE if why == "exclusive" else REPLACES, last_seconds=0 if why == "too old" else HOUR_SECONDS)
    if why == "outdated":
        await ports.seen_targets.outdate(ARCHIVE.fingerprint)
    assert (await batch(api, ports, IfExists.FAIL)).status_code == 202


@pytest.mark.parametrize("race", [True, None])
async def test_setting_of_the_target_accepts_the_race(api: Api, ports: Ports, *, race: bool | None) -> None:
    await see(ports, REPLACES)
    targets = (replace(ARCHIVE, allow_overwrite_race=race), MIRROR)
    configured = ConfiguredTargets(targets, ports.seen_targets)
    api.app.state.service = replace(api.app.state.service, targets=configured)
    assert (await shown(api))["allow_overwrite_race"] is race
    assert (await finalize(api, ports, IfExists.FAIL)).status_code == 202


async def test_abilities_are_not_read_for_each_request(ports: Ports) -> None:
    await ports.seen_targets.configure(TARGETS)
    async with serving(ports, fresh_seconds=60) as api:
        assert (await batch(api, ports, IfExists.FAIL)).status_code == 202
        await see(ports, REPLACES)
        assert (await batch(api, ports, IfExists.FAIL)).status_code == 202, "read less than 60 s ago"

"""`POST /batches` takes what can be walked and refuses everything else; the records of batches are shown and listed."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from gridhaul.source.walk import MAX_PATTERN_CHARACTERS
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope
from gridhaul.transfer.batches import BatchState, Counts, Group, Skipped, Summary
from gridhaul.transfer.model import RecordId
from tests.api.service import Api, authenticator, serving
from tests.asgi.request_limits import REQUEST_LIMITS
from tests.contracts.bytes_to_store import MIB
from tests.contracts.ports import SHA256, Ports, new_batch, new_member, stored

LONG_BODIES = replace(REQUEST_LIMITS, body_bytes=MIB)
UNKNOWN = "e" * 24
WHOLE = {"paths": ["/srv/run"]}
SCOPES = frozenset(Scope) - {Scope.ADMIN}


@pytest.fixture
async def alice(ports: Ports, database: Database) -> AsyncIterator[Api]:
    """Yield an api that alice calls, who may read beneath /srv/alice and deliver to `archive`."""
    accounts = MongoAccounts(database)
    new = NewAccount(username="alice", scopes=tuple(SCOPES), roots=("/srv/alice",), targets=("archive",))
    account = await accounts.create(new)
    async with serving(ports, accounts=accounts) as api:
        api.http.headers["Authorization"] = f"Bearer {authenticator(accounts).access_token(account, SCOPES)}"
        yield api


async def ask(api: Api, body: dict[str, Any], *, key: str | None = None) -> httpx2.Response:
    return await api.http.post("/batches", json=body, headers={"Idempotency-Key": key} if key else {})


def refusal(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_batch_is_answered_at_once_with_what_was_asked_for_and_hinted(api: Api) -> None:
    to = [{"target": "archive", "prefix": "2026/", "if_exists": "rename"}, {"target": "mirror"}]
    choice = {"include": ["*.h5"], "exclude": ["tmp/"], "hidden": False, "links": "follow", "empty_folders": True}
    answer = await ask(api, {"paths": ["/srv/run", "/srv/x/**/*.h5"], "base": "/srv", "deliver_to": to, **choice})
    batch = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/batches/{batch['batch_id']}")
    assert (batch["state"], batch["registered"], batch["owner"]) == ("REGISTERING", False, "operator")
    assert (batch["paths"], batch["base"], batch["choice"]) == (["/srv/run", "/srv/x/**/*.h5"], "/srv/", choice)
    assert batch["deliver_to"] == [
        {"target": "archive", "prefix": "2026", "if_exists": "rename"},
        {"target": "mirror", "prefix": None, "if_exists": "fail"},
    ]
    assert (batch["plan"], batch["summary"], batch["error"], batch["ended_at"]) == (None, None, None, None)
    assert api.hinted() == [("tasks.run_batch", batch["batch_id"])]
    shown = (await api.http.get(answer.headers["Location"])).json()
    assert shown | {"counts": None} == batch


async def test_one_target_may_be_given_without_a_list_and_no_target_at_all(api: Api) -> None:
    one = (await ask(api, WHOLE | {"deliver_to": {"target": "archive"}})).json()
    assert [wanted["target"] for wanted in one["deliver_to"]] == ["archive"]
    assert (await ask(api, WHOLE)).json()["deliver_to"] == []


async def test_dry_run_is_planned_and_shows_an_empty_plan_first(api: Api) -> None:
    batch = (await ask(api, WHOLE | {"dry_run": True})).json()
    assert (batch["state"], batch["plan"]["files"], batch["plan"]["largest"]) == ("PLANNING", 0, [])


async def test_same_key_gives_the_same_batch_and_another_body_under_it_is_refused(api: Api) -> None:
    first, again = await ask(api, WHOLE, key="k"), await ask(api, WHOLE, key="k")
    assert (again.status_code, again.json()["batch_id"]) == (202, first.json()["batch_id"])
    assert len(api.hints) == 1
    assert refusal(await ask(api, {"paths": ["/srv/other"]}, key="k")) == (422, "idempotency_conflict")
    other = await ask(api, WHOLE, key="another")
    assert other.json()["batch_id"] != first.json()["batch_id"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("relative/run", 422, "path_invalid"),
        ("", 422, "path_invalid"),
        ("/srv/r\0un", 422, "path_invalid"),
        ("/srv/run\n", 422, "path_invalid"),
        ("/srv/" + "x" * 4092, 422, "path_invalid"),
        ("/srv/[a", 422, "pattern_invalid"),
        ("/srv/[a]", 202, ""),
        ("/srv/**/*.h5", 202, ""),
        ("/srv/\N{GRINNING FACE} -x", 202, ""),
        ("/etc/passwd", 403, "path_not_allowed"),
        ("/", 403, "path_not_allowed"),
        ("/srv2/run", 403, "path_not_allowed"),
        ("/srv/../etc", 403, "path_not_allowed"),
        ("/*/run", 403, "path_not_allowed"),
    ],
)
async def test_only_absolute_printable_paths_beneath_a_root_are_taken(
    api: Api, path: str, status: int, code: str
) -> None:
    answer = await ask(api, {"paths": ["/srv/run", path]})
    assert (answer.status_code, answer.json().get("code", "")) == (status, code)
    assert len(api.hints) == (status == 202)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"paths": ["/srv/run"] * 1000}, 202),
        ({"paths": ["/srv/run"] * 1001}, 422),
        ({"paths": []}, 422),
        ({"paths": "/srv/run"}, 422),
        ({"paths": [1]}, 422),
        (WHOLE | {"base": "/srv/run"}, 422),
        (WHOLE | {"base": "srv"}, 422),
        (WHOLE | {"update": True}, 422),
        (WHOLE | {"update": "yes"}, 422),
        (WHOLE | {"exclude": [""]}, 422),
        (WHOLE | {"exclude": ["x"] * 101}, 422),
        (WHOLE | {"include": ["x" * 1025]}, 422),
        (WHOLE | {"links": "copy"}, 422),
        (WHOLE | {"if_changed": "maybe"}, 422),
        (WHOLE | {"unknown": 1}, 422),
        (WHOLE | {"deliver_to": []}, 422),
        (WHOLE | {"deliver_to": [{"target": "archive"}] * 17}, 422),
        (WHOLE | {"deliver_to": {"target": "archive", "prefix": "../up"}}, 422),
        (WHOLE | {"deliver_to": {"target": "archive", "prefix": "a\r\nb"}}, 422),
        (WHOLE | {"deliver_to": {"target": "archive", "prefix": "x" * 1025}}, 422),
        (WHOLE | {"deliver_to": {"target": "archive", "object_name": "x"}}, 422),
    ],
)
async def test_body_is_taken_only_within_its_bounds(api: Api, body: dict[str, Any], status: int) -> None:
    assert (await ask(api, body)).status_code == status


async def test_base_that_is_not_above_a_path_is_refused_with_what_to_do(api: Api) -> None:
    beside = (await ask(api, {"paths": ["/srv/run/a", "/srv/runs/b"], "base": "/srv/run"})).json()
    assert beside["detail"] == ("/srv/runs/b does not lie beneath base /srv/run/; choose a directory above all paths.")
    itself = (await ask(api, {"paths": ["/srv/run"], "base": "/srv/run/"})).json()
    assert itself["detail"] == "/srv/run is `base` itself; end the path with `/` to take what is beneath it."
    taken = (await ask(api, {"paths": ["/srv/run/", "/srv//./run/a"], "base": "/srv//run"})).json()
    assert taken["base"] == "/srv/run/"


@pytest.mark.alone
async def test_api_answers_others_while_it_reads_the_longest_patterns(api: Api) -> None:
    api.app.state.request_limits = LONG_BODIES
    asked = asyncio.create_task(ask(api, {"paths": ["/srv/" + "*/" * 2000] * 65}))
    asked_at, worst = time.monotonic(), 0.0
    while not asked.done():
        began = time.monotonic()
        await asyncio.sleep(0.001)
        worst = max(worst, time.monotonic() - began)
    assert (await asked).status_code == 202
    # Patterns that are read in the event loop hold it for nearly all of the request's time, on any machine.
    assert worst < (time.monotonic() - asked_at) / 2


async def test_patterns_over_the_bound_of_a_request_are_refused(api: Api) -> None:
    api.app.state.request_limits = LONG_BODIES
    refused = await ask(api, {"paths": ["/srv/" + "?" * 4000] * 70})
    assert refusal(refused) == (422, "pattern_invalid")
    assert str(MAX_PATTERN_CHARACTERS) in refused.json()["detail"]


async def test_target_that_is_unknown_or_not_the_accounts_is_refused_alike(alice: Api) -> None:
    answers = [
        await ask(alice, {"paths": ["/srv/alice/run"], "deliver_to": [{"target": "archive"}, {"target": name}]})
        for name in ("mirror", "nowhere")
    ]
    assert [refusal(answer) for answer in answers] == [(422, "target_unknown")] * 2
    assert answers[0].json()["detail"] == answers[1].json()["detail"]


async def test_path_beneath_a_root_of_others_only_is_refused(alice: Api) -> None:
    assert (await ask(alice, {"paths": ["/srv/alice/run"]})).status_code == 202
    assert refusal(await ask(alice, {"paths": ["/srv/alice/run", "/srv/bob"]})) == (403, "path_not_allowed")


async def test_more_open_batches_than_the_limit_are_refused_until_one_is_over(ports: Ports) -> None:
    async with serving(ports, max_open_batches=2) as api:
        first = (await ask(api, WHOLE, key="first")).json()
        assert (await ask(api, WHOLE | {"dry_run": True})).status_code == 202
        refused = await ask(api, WHOLE)
        assert refusal(refused) == (429, "too_many_open_batches")
        assert int(refused.headers["Retry-After"]) > 0
        assert "2 open batches" in refused.json()["detail"]
        assert (await ask(api, WHOLE, key="first")).status_code == 202, "a repeat is no new batch"
        await api.http.post(f"/batches/{first['batch_id']}/cancel")
        assert (await ask(api, WHOLE)).status_code == 202


async def test_batch_of_another_account_is_not_found_and_not_listed(alice: Api, ports: Ports) -> None:
    foreign, _ = await ports.batches.register(new_batch(owner="bob"))
    own = (await ask(alice, {"paths": ["/srv/alice/run"]})).json()["batch_id"]
    for batch_id in (foreign.id, UNKNOWN):
        for path in ("", "/skipped", "/sha256sums"):
            assert refusal(await alice.http.get(f"/batches/{batch_id}{path}")) == (404, "not_found")
        for action in ("start", "cancel", "pause", "resume", "retry"):
            assert refusal(await alice.http.post(f"/batches/{batch_id}/{action}")) == (404, "not_found")
        for cancel in ("", "?cancel=true"):
            assert refusal(await alice.http.delete(f"/batches/{batch_id}{cancel}")) == (404, "not_found")
    assert [one["batch_id"] for one in (await alice.http.get("/batches")).json()["batches"]] == [own]
    untouched = await ports.batches.get(foreign.id)
    assert untouched is not None
    assert untouched.state is BatchState.REGISTERING


async def test_batches_are_listed_newest_first_page_by_page_and_by_state(api: Api) -> None:
    made = [(await ask(api, WHOLE)).json()["batch_id"] for _ in range(5)]
    await api.http.post(f"/batches/{made[1]}/pause")
    query: dict[str, Any] = {"limit": 2, "state": ["REGISTERING", "PAUSED"]}
    seen: list[str] = []
    while query.get("cursor", "") is not None:
        page = (await api.http.get("/batches", params=query)).json()
        seen += [one["batch_id"] for one in page["batches"]]
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-1]
    paused = (await api.http.get("/batches", params={"state": "PAUSED"})).json()["batches"]
    assert [one["batch_id"] for one in paused] == [made[1]]


@pytest.mark.parametrize(
    "query", ["state=LOST", "state=", "limit=0", "limit=1001", "limit=x", "cursor=x", f"cursor={'E' * 24}"]
)
async def test_lists_take_only_what_is_documented(api: Api, query: str) -> None:
    assert (await api.http.get(f"/batches?{query}")).status_code == 422


async def test_skipped_paths_are_listed_page_by_page(api: Api, ports: Ports) -> None:
    batch_id = RecordId((await ask(api, WHOLE)).json()["batch_id"])
    skipped = [Skipped(path=path, reason="link", detail="A link.") for path in ("/srv/a", "/srv/a b", "/srv/é")]
    await ports.skipped.add(batch_id, skipped)
    page = (await api.http.get(f"/batches/{batch_id}/skipped?limit=2")).json()
    assert page["skipped"] == [{"path": path, "reason": "link", "detail": "A link."} for path in ("/srv/a", "/srv/a b")]
    rest = await api.http.get(f"/batches/{batch_id}/skipped", params={"limit": 2, "cursor": page["next_cursor"]})
    assert ([one["path"] for one in rest.json()["skipped"]], rest.json()["next_cursor"]) == (["/srv/é"], None)
    for query in ("limit=0", "limit=1001", "limit=x"):
        assert (await api.http.get(f"/batches/{batch_id}/skipped?{query}")).status_code == 422
    assert (await api.http.get(f"/batches/{batch_id}/skipped?cursor={'x' * 16385}")).status_code == 414


async def test_sums_are_text_in_the_byte_order_of_names(api: Api, ports: Ports) -> None:
    batch_id = RecordId((await ask(api, WHOLE)).json()["batch_id"])
    assert (await api.http.get(f"/batches/{batch_id}/sha256sums")).content == b""
    for name in ("é", "b", "a b"):
        await stored(ports, new_member(name, batch_id=batch_id))
    answer = await api.http.get(f"/batches/{batch_id}/sha256sums")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == "".join(f"{SHA256}  {name}\n" for name in ("a b", "b", "é"))


async def test_batch_that_is_done_shows_its_summary_and_counts(api: Api, ports: Ports) -> None:
    batch, _ = await ports.batches.register(new_batch())
    taken = await ports.batches.claim_in_its_state(batch.id, holder="w")
    assert taken is not None
    group = {"STORED": Group(count=2, bytes=7)}
    counts = Counts(files=group, deliveries={}, failures={}, skipped={"link": 1}, counted_at=datetime.now(UTC))
    summary = Summary(files=2, bytes=7, sha256sums=SHA256)
    await ports.batches.finish(taken.lease, BatchState.DONE, counts=counts, summary=summary, position=None)
    shown = (await api.http.get(f"/batches/{batch.id}")).json()
    assert (shown["state"], shown["registered"], shown["waiting"]) == ("DONE", True, None)
    assert shown["summary"] == {"files": 2, "bytes": 7, "sha256sums": SHA256}
    assert (shown["counts"]["files"], shown["counts"]["skipped"]) == ({"STORED": {"count": 2, "bytes": 7}}, {"link": 1})
    assert shown["ended_at"] is not None

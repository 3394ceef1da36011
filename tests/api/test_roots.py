"""`GET /roots` and the entries beneath: names, shapes, refusals, and that what is listed is what prepare takes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope
from tests.api.house import bearer
from tests.api.service import Api, authenticator, serving
from tests.contracts.ports import Ports

Json = dict[str, Any]
Limited = Callable[..., Awaitable[httpx2.AsyncClient]]


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """Return a configured root with files, a folder, and links that stay beneath the root or leave it."""
    exports = tmp_path / "exports"
    (exports / "run").mkdir(parents=True)
    (exports / "run" / "a.h5").write_bytes(b"bytes")
    (exports / "b.h5").write_bytes(b"12")
    (exports / ".gridhaul-x").write_bytes(b"")
    (tmp_path / "secret").mkdir()
    links = {"latest": "run", "file": "b.h5", "out": "../secret", "nothing": "none", "out-nothing": "../none"}
    for name, to in links.items():
        (exports / name).symlink_to(to)
    return exports


@pytest.fixture
async def api(ports: Ports, exports: Path) -> AsyncIterator[Api]:
    async with serving(ports, root=exports) as found:
        yield found


@pytest.fixture
async def limited(database: Database, ports: Ports, exports: Path) -> AsyncIterator[Limited]:
    """Yield a function that returns the client of an account with these roots."""
    accounts = MongoAccounts(database)
    async with serving(ports, root=exports, accounts=accounts) as found:

        async def client(*roots: Path) -> httpx2.AsyncClient:
            new = NewAccount(username="alice", scopes=(Scope.PREPARE,), roots=tuple(map(str, roots)))
            await accounts.create(new)
            account = await accounts.named("alice")
            assert account is not None
            found.http.headers.update(bearer(authenticator(accounts).access_token(account, frozenset(account.scopes))))
            return found.http

        yield client


async def roots_of(http: httpx2.AsyncClient) -> dict[str, str]:
    """Return the paths of the listed roots by their names."""
    answer = (await http.get("/roots")).raise_for_status().json()
    assert list(answer) == ["roots"]
    assert all(list(root) == ["name", "path"] for root in answer["roots"])
    return {root["name"]: root["path"] for root in answer["roots"]}


async def entries(http: httpx2.AsyncClient, root: str = "exports", **parameters: object) -> Json:
    answer = await http.get(f"/roots/{root}/entries", params={name: str(value) for name, value in parameters.items()})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def names(page: Json) -> list[str]:
    return [entry["name"] for entry in page["entries"]]


async def test_account_without_roots_of_its_own_has_those_of_the_server(api: Api, exports: Path) -> None:
    assert await roots_of(api.http) == {"exports": str(exports)}


async def test_whole_disk_is_named_root(ports: Ports) -> None:
    async with serving(ports, root=Path("/")) as api:
        assert await roots_of(api.http) == {"root": "/"}
        found = await entries(api.http, "root", name_prefix="proc")
        assert (found["path"], found["entries"][0]["path"]) == ("/", "/proc")


async def test_roots_of_the_account_are_in_order_and_each_has_a_name_of_its_own(
    limited: Limited, exports: Path, tmp_path: Path
) -> None:
    roots = [exports / path for path in ("a/data", "b/data-2", "b/data", "c/data", "c")]
    http = await limited(*roots, tmp_path / "elsewhere" / "data")
    found = await roots_of(http)
    assert list(found.items()) == list(zip(("data", "data-2", "data-3", "data-4", "c"), map(str, roots), strict=True))


async def test_account_that_may_send_from_nowhere_has_no_roots(limited: Limited) -> None:
    assert await roots_of(await limited()) == {}


async def test_entries_of_a_root_have_all_that_is_to_be_known(api: Api, exports: Path) -> None:
    found = await entries(api.http)
    assert (found["path"], found["next_cursor"]) == (str(exports), None)
    assert names(found) == ["run", ".gridhaul-x", "b.h5", "file", "latest", "nothing", "out", "out-nothing"]
    assert [entry["kind"] for entry in found["entries"]] == ["folder", "file", "file", *["link"] * 5]
    file = next(entry for entry in found["entries"] if entry["name"] == "b.h5")
    changed = datetime.fromisoformat(file.pop("mtime")).timestamp()
    assert changed == pytest.approx((exports / "b.h5").stat().st_mtime, abs=1e-5)
    assert file == {"name": "b.h5", "path": f"{exports}/b.h5", "kind": "file", "length": 2, "refused": None}
    assert {entry["name"]: entry["refused"]["code"] for entry in found["entries"] if entry["refused"]} == {
        ".gridhaul-x": "name_refused",
        "nothing": "link_broken",
        "out": "link_outside",
        "out-nothing": "link_outside",
    }


async def test_prepare_takes_a_listed_file_unless_it_is_refused(api: Api) -> None:
    for entry in (await entries(api.http))["entries"]:
        answer = await api.http.post("/upload/prepare", json={"file_path": entry["path"]})
        is_file = entry["kind"] == "file" or entry["name"] == "file"
        assert (answer.status_code == 202) == (is_file and entry["refused"] is None), entry


@pytest.mark.parametrize("path", ["run", "run/", "./run//.", "latest"])
async def test_folder_is_found_beneath_its_root_also_by_a_link(api: Api, exports: Path, path: str) -> None:
    found = await entries(api.http, path=path)
    assert found["path"] == f"{exports}/{'latest' if path == 'latest' else 'run'}"
    assert [entry["path"] for entry in found["entries"]] == [f"{found['path']}/a.h5"]


async def test_pages_follow_each_other(api: Api) -> None:
    found, cursor = list[str](), ""
    for _ in range(4):
        page = await entries(api.http, limit=2, name_prefix="", cursor=cursor)
        found += names(page)
        cursor = page["next_cursor"]
    assert cursor is None
    assert found == names(await entries(api.http))
    assert names(await entries(api.http, name_prefix="out")) == ["out", "out-nothing"]


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"path": "none"}, 404, "source_missing"),
        ({"path": "b.h5/x"}, 404, "source_missing"),
        ({"path": "b.h5"}, 422, "path_invalid"),
        ({"path": "/run"}, 422, "path_invalid"),
        ({"path": "run\n"}, 422, "path_invalid"),
        ({"path": "x" * 4096}, 422, "path_invalid"),
        ({"path": ".."}, 403, "path_not_allowed"),
        ({"path": "run/../run"}, 403, "path_not_allowed"),
        ({"path": "out"}, 403, "path_not_allowed"),
        ({"path": "out-nothing"}, 403, "path_not_allowed"),
        ({"limit": "0"}, 422, "invalid_value"),
        ({"limit": "1001"}, 422, "invalid_value"),
        ({"cursor": "nonsense"}, 422, "invalid_value"),
        ({"name_prefix": "x" * 256}, 422, "invalid_value"),
    ],
)
async def test_refusal_says_why(api: Api, parameters: dict[str, str], status: int, code: str) -> None:
    answer = await api.http.get("/roots/exports/entries", params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_what_is_outside_is_answered_alike_whether_it_exists_or_not(api: Api, exports: Path) -> None:
    asked = [await api.http.get("/roots/exports/entries", params={"path": path}) for path in ("out", "out-nothing")]
    existing, missing = ({name: value for name, value in one.json().items() if name != "instance"} for one in asked)
    assert existing == missing
    assert str(exports) not in str(existing)


async def test_root_of_others_is_unknown(limited: Limited, exports: Path) -> None:
    http = await limited(exports / "run")
    assert await roots_of(http) == {"run": f"{exports}/run"}
    answers = [await http.get(f"/roots/{name}/entries") for name in ("exports", "none")]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "not_found")] * 2
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert names(await entries(http, "run")) == ["a.h5"]


async def test_folder_beneath_two_roots_is_confined_to_the_inner_one_as_in_prepare(
    limited: Limited, exports: Path
) -> None:
    (exports / "run" / "up").symlink_to("..")
    http = await limited(exports, exports / "run")
    answer = await http.get("/roots/exports/entries", params={"path": "run/up"})
    assert (answer.status_code, answer.json()["code"]) == (403, "path_not_allowed")
    prepared = await http.post("/upload/prepare", json={"file_path": f"{exports}/run/up/b.h5"})
    assert prepared.json()["code"] == "path_not_allowed"


async def test_root_that_is_missing_has_no_entries(api: Api, exports: Path) -> None:
    api.app.state.service = replace(api.app.state.service, roots=(exports / "gone",))
    answer = await api.http.get("/roots/gone/entries")
    assert (answer.status_code, answer.json()["code"]) == (404, "source_missing")

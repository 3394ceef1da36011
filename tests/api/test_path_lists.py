"""`/lists`: a text is taken whole or refused, and batches take only lists of their own account."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope
from gridhaul.transfer.lists import PAGE_BYTES, UNUSED_LISTS_AT_MOST, ListFormat, NewList
from gridhaul.transfer.model import RecordId
from tests.api.house import House, bearer
from tests.api.service import Api, authenticator
from tests.contracts.ports import Ports

DIGEST = "ab" * 32
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


async def send(
    api: Api, text: bytes | AsyncIterator[bytes], list_format: str = "paths"
) -> tuple[int, dict[str, object]]:
    response = await api.http.post("/lists", params={"format": list_format}, content=text, headers=TEXT)
    return response.status_code, response.json()


async def sent(api: Api, text: bytes, list_format: str = "paths") -> str:
    status, answer = await send(api, text, list_format)
    assert status == 201, answer
    return str(answer["list_id"])


async def in_pieces(line: bytes, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield line * 1000


async def count_stored(ports: Ports, owner: str = "operator") -> int:
    return await ports.lists.count_unused(owner, limit=100)


async def test_list_is_answered_with_what_it_names_and_can_be_looked_at(api: Api) -> None:
    response = await api.http.post("/lists?format=paths", content=b"/srv/a\n\nb\n", headers=TEXT)
    made = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/lists/{made['list_id']}" == made["links"]["self"]
    assert (made["format"], made["length"], made["entries"], made["relative"]) == ("paths", 10, 2, 1)
    assert (await api.http.get(f"/lists/{made['list_id']}")).json() == made


async def test_long_list_is_stored_in_pages_whose_lines_are_whole(api: Api, ports: Ports) -> None:
    line = f"{DIGEST}  {'x' * 100}\n".encode()
    status, made = await send(api, in_pieces(line, 20), "sha256sums")
    assert (status, made["entries"], made["length"]) == (201, 20_000, 20_000 * len(line))
    list_id, number, lines = RecordId(str(made["list_id"])), 0, 0
    while page := await ports.lists.page(list_id, number):
        assert page.first_line == lines + 1
        assert len(page.text) < PAGE_BYTES + 300_000
        lines, number = lines + page.text.count(line), number + 1
    assert (lines, number) == (20_000, 3)


@pytest.mark.parametrize(
    ("list_format", "text", "told"),
    [
        ("sha256sums", b"%s  a\nnonsense\n" % DIGEST.encode(), "Line 2 "),
        ("jsonl", b'{"path":"a"}\n\n{"path":""}', "Line 3"),
        ("jsonl", b'{"path":"a","length":-1}', "Line 1"),
        ("paths", b"", "names no file"),
        ("paths0", b"\0\0", "names no file"),
    ],
)
async def test_malformed_text_is_refused_with_its_line_and_nothing_stays(
    api: Api, ports: Ports, list_format: str, text: bytes, told: str
) -> None:
    status, answer = await send(api, text, list_format)
    assert (status, answer["code"]) == (422, "manifest_invalid")
    assert told in str(answer["detail"])
    assert await count_stored(ports) == 0


async def test_error_in_a_late_page_removes_the_earlier_pages(api: Api, database: Database) -> None:
    async def text() -> AsyncIterator[bytes]:
        async for part in in_pieces(f"{DIGEST}  {'x' * 1000}\n".encode(), 3):
            yield part
        yield b"nonsense"

    status, answer = await send(api, text(), "sha256sums")
    assert (status, str(answer["detail"])[:10]) == (422, "Line 3001 ")
    assert await database["list_pages"].count_documents({}) == 0


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        ({"Content-Type": "application/json"}, {"format": "paths"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, {"format": "paths"}, 415),
        (TEXT, {"format": "csv"}, 422),
        (TEXT, {}, 422),
        (TEXT | {"Content-Length": str(2**30 + 1)}, {"format": "paths"}, 413),
        ({"Content-Type": "application/octet-stream"}, {"format": "paths"}, 201),
    ],
)
async def test_only_a_short_enough_text_of_a_known_format_is_taken(
    api: Api, ports: Ports, headers: dict[str, str], params: dict[str, str], status: int
) -> None:
    response = await api.http.post("/lists", params=params, content=b"/srv/a", headers=headers)
    assert response.status_code == status
    assert await count_stored(ports) == (status == 201)


async def test_more_lists_than_may_wait_for_a_batch_are_refused(api: Api) -> None:
    for _ in range(UNUSED_LISTS_AT_MOST):
        await sent(api, b"/srv/a")
    response = await api.http.post("/lists", params={"format": "paths"}, content=b"/srv/a", headers=TEXT)
    assert (response.status_code, response.json()["code"]) == (429, "too_many_lists")
    assert response.headers["Retry-After"] == "3600"
    newest = (await api.http.get("/lists?limit=1")).json()["lists"][0]
    assert (await api.http.delete(newest["links"]["self"])).status_code == 204
    await sent(api, b"/srv/a")


async def test_lists_are_shown_page_by_page_newest_first(api: Api) -> None:
    ids = [await sent(api, b"/srv/a") for _ in range(3)]
    first = (await api.http.get("/lists?limit=2")).json()
    assert first["lists"] == [(await api.http.get(f"/lists/{list_id}")).json() for list_id in (ids[2], ids[1])]
    rest = (await api.http.get("/lists", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert ([one["list_id"] for one in rest["lists"]], rest["next_cursor"]) == ([ids[0]], None)


async def test_deleted_list_is_gone(api: Api, ports: Ports) -> None:
    list_id = await sent(api, b"/srv/a")
    assert [(await api.http.delete(f"/lists/{list_id}")).status_code for _ in range(2)] == [204, 404]
    assert (await api.http.get(f"/lists/{list_id}")).status_code == 404
    assert await count_stored(ports) == 0


async def test_list_of_a_batch_is_not_deleted(api: Api) -> None:
    list_id = await sent(api, b"/srv/a")
    await api.http.post("/batches", json={"list_id": list_id})
    response = await api.http.delete(f"/lists/{list_id}")
    assert (response.status_code, response.json()["code"]) == (409, "state_conflict")
    assert (await api.http.get(f"/lists/{list_id}")).status_code == 200


async def test_list_of_another_account_is_neither_shown_nor_deleted(house: House, ports: Ports) -> None:
    new = NewList(owner="someone", format=ListFormat.PATHS, length=6, entries=1, relative=0, pages=1)
    foreign, own = [
        (await ports.lists.register(ports.lists.new_id(), one)).id for one in (new, replace(new, owner="bob"))
    ]
    scopes = (Scope.READ, Scope.PREPARE)
    bob = await house.accounts.create(NewAccount(username="bob", scopes=scopes))
    headers = bearer(authenticator(house.accounts).access_token(bob, frozenset(scopes)))
    shown = (await house.http.get("/lists", headers=headers)).json()["lists"]
    assert [one["list_id"] for one in shown] == [own]
    deleted = [await house.http.delete(f"/lists/{list_id}", headers=headers) for list_id in (foreign, own)]
    assert [answer.status_code for answer in deleted] == [404, 204]
    assert await ports.lists.get(foreign) is not None


async def test_unknown_list_is_not_found(api: Api) -> None:
    assert (await api.http.get(f"/lists/{'e' * 24}")).status_code == 404
    response = await api.http.post("/batches", json={"list_id": "e" * 24})
    assert response.status_code == 404


async def test_batch_names_its_list_and_has_no_paths(api: Api) -> None:
    list_id = await sent(api, b"/srv/a")
    response = await api.http.post("/batches", json={"list_id": list_id})
    assert (response.status_code, response.json()["list_id"], response.json()["paths"]) == (202, list_id, [])
    assert (await api.http.get(f"/lists/{list_id}")).json()["expires_at"] is None


async def test_batch_of_another_accounts_list_is_refused_like_one_of_no_list(api: Api, ports: Ports) -> None:
    new = NewList(owner="someone", format=ListFormat.PATHS, length=6, entries=1, relative=0, pages=1)
    list_id = (await ports.lists.register(ports.lists.new_id(), new)).id
    response = await api.http.post("/batches", json={"list_id": list_id})
    assert (response.status_code, response.json()["detail"]) == (404, "There is no such list.")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "either"),
        ({"paths": ["/srv/a"], "list_id": "e" * 24}, "either"),
        ({"list_id": "e"}, "body.list_id"),
        ({"list_id": None, "paths": None}, "either"),
    ],
)
async def test_batch_has_either_paths_or_a_list(api: Api, body: dict[str, object], told: str) -> None:
    response = await api.http.post("/batches", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_value")
    assert told in response.json()["detail"]


async def test_relative_paths_need_a_base(api: Api) -> None:
    list_id = await sent(api, b"/srv/a\nb")
    response = await api.http.post("/batches", json={"list_id": list_id})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_value")
    assert "base" in response.json()["detail"]
    response = await api.http.post("/batches", json={"list_id": list_id, "base": "/srv"})
    assert (response.status_code, response.json()["base"]) == (202, "/srv/")


@pytest.mark.parametrize(
    ("choice", "status"),
    [({"exclude": ["*.tmp"]}, 422), ({"include": ["*"]}, 422), ({"hidden": False}, 422), ({}, 202)],
)
async def test_manifest_is_taken_whole_or_not_at_all(api: Api, choice: dict[str, object], status: int) -> None:
    list_id = await sent(api, f"{DIGEST}  /srv/a\n".encode(), "sha256sums")
    assert (await api.http.post("/batches", json={"list_id": list_id, **choice})).status_code == status
    paths = await sent(api, b"/srv/a")
    assert (await api.http.post("/batches", json={"list_id": paths, **choice})).status_code == 202

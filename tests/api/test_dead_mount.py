"""Requests while a folder beneath the root does not answer: only accounts that ask for it or its files wait."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from api.source_lookup import LOOKS_OF_ACCOUNT
from gridhaul.process.bounded_threads import BoundedThreads
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope
from gridhaul.transfer.states import STORABLE, FileState
from tests.api.house import bearer
from tests.api.service import Api, authenticator, serving
from tests.contracts.ports import Ports, eventually, from_path, new_file, registered
from tests.servers.dead_mount import DeadMount, dead_mount, why_not

LOOK_SECONDS = 1.0
UNAVAILABLE = (503, "source_unavailable")
EXECUTOR_MOST = 32  # asyncio's executor has no more threads

Headers = Mapping[str, str]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[DeadMount]:
    (tmp_path / "dead").mkdir()
    if reason := why_not(tmp_path / "dead"):
        pytest.skip(reason)
    with dead_mount(tmp_path / "dead") as mount:
        yield mount


@pytest.fixture
def live(mount: DeadMount) -> Path:
    """Return a file in the same directory as the folder that does not answer."""
    path = mount.folder.with_name("run.h5")
    path.write_bytes(b"bytes")
    return path


@pytest.fixture
def dead(mount: DeadMount) -> Path:
    return mount.folder / "run.h5"


@pytest.fixture
async def api(database: Database, ports: Ports, mount: DeadMount) -> AsyncIterator[Api]:
    threads = BoundedThreads(limit=LOOKS_OF_ACCOUNT + 1, limit_each=LOOKS_OF_ACCOUNT, within_seconds=LOOK_SECONDS)
    accounts = MongoAccounts(database)
    async with serving(ports, root=mount.folder.parent, accounts=accounts, threads=threads) as found:
        yield found


@pytest.fixture
async def alice(database: Database) -> Headers:
    return await _headers_of("alice", database)


@pytest.fixture
async def bob(database: Database) -> Headers:
    return await _headers_of("bob", database)


async def _headers_of(username: str, database: Database) -> Headers:
    """Make the account, and return the headers of its requests."""
    accounts = MongoAccounts(database)
    await accounts.create(NewAccount(username=username, scopes=(Scope.PREPARE,)))
    account = await accounts.named(username)
    assert account is not None
    return bearer(authenticator(accounts).access_token(account, frozenset(account.scopes)))


async def _prepare(api: Api, headers: Headers, path: Path, **more: str) -> httpx2.Response:
    return await api.http.post("/upload/prepare", json={"file_path": str(path), **more}, headers=headers)


async def _prepare_often(api: Api, headers: Headers, path: Path, times: int) -> set[tuple[int, str | None]]:
    return {_outcome(answer) for answer in await asyncio.gather(*(_prepare(api, headers, path) for _ in range(times)))}


def _outcome(answer: httpx2.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


async def test_source_whose_file_system_does_not_answer_is_unavailable(api: Api, alice: Headers, dead: Path) -> None:
    answer = await _prepare(api, alice, dead)
    assert _outcome(answer) == UNAVAILABLE
    assert int(answer.headers["Retry-After"]) >= 1
    assert str(dead) not in answer.text


async def test_other_accounts_and_other_work_go_on_while_all_looks_of_one_account_are_stuck(
    api: Api, alice: Headers, bob: Headers, dead: Path, live: Path
) -> None:
    assert await _prepare_often(api, alice, dead, EXECUTOR_MOST + 1) == {UNAVAILABLE}
    assert _outcome(await _prepare(api, alice, live)) == UNAVAILABLE
    assert await _prepare_often(api, bob, live, 100) == {(202, None)}
    assert _outcome(await _prepare(api, bob, live, unknown="x" * 10_000)) == (422, "invalid_value")
    async with asyncio.timeout(10):
        await asyncio.to_thread(threading.get_ident)


async def test_listing_waits_no_longer_than_prepare_and_uses_the_same_threads(
    api: Api, alice: Headers, bob: Headers, dead: Path, live: Path
) -> None:
    async def entries(headers: Headers, path: str) -> httpx2.Response:
        return await api.http.get(f"/roots/{live.parent.name}/entries", params={"path": path}, headers=headers)

    (live.parent / "folder").mkdir()
    for path in (dead.parent.name, ""):  # the root has the dead folder among its entries
        assert _outcome(await entries(alice, path)) == UNAVAILABLE
    assert _outcome(await entries(alice, "folder")) == (200, None)
    stuck = await asyncio.gather(*(entries(alice, dead.parent.name) for _ in range(LOOKS_OF_ACCOUNT)))
    assert {_outcome(answer) for answer in stuck} == {UNAVAILABLE}
    assert _outcome(await _prepare(api, alice, live)) == UNAVAILABLE
    assert _outcome(await entries(alice, "folder")) == UNAVAILABLE
    assert _outcome(await entries(bob, "folder")) == (200, None)


async def test_retry_of_a_source_whose_file_system_does_not_answer_is_unavailable_and_changes_nothing(
    api: Api, ports: Ports, alice: Headers, dead: Path
) -> None:
    file = await registered(
        ports, replace(from_path(new_file(), path=str(dead), root=str(dead.parent.parent)), owner="alice")
    )
    taken = await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert taken is not None
    await ports.files.finish(taken.lease, FileState.FAILED)
    before = await ports.files.get(file.id)
    assert _outcome(await api.http.post(f"/files/{file.id}/retry", headers=alice)) == UNAVAILABLE
    assert await ports.files.get(file.id) == before


async def test_account_goes_on_and_nothing_stays_open_once_its_stuck_looks_have_ended(
    api: Api, alice: Headers, dead: Path, live: Path, mount: DeadMount, tmp_path: Path
) -> None:
    assert await _prepare_often(api, alice, live, 10) == {(202, None)}
    open_before = _open_beneath(tmp_path)
    assert await _prepare_often(api, alice, dead, LOOKS_OF_ACCOUNT) == {UNAVAILABLE}
    assert _open_beneath(tmp_path) > open_before
    mount.fail()

    async def prepared() -> bool:
        return await _prepare_often(api, alice, live, LOOKS_OF_ACCOUNT) == {(202, None)}

    assert await eventually(prepared)
    assert _open_beneath(tmp_path) == open_before


def _open_beneath(folder: Path) -> int:
    """Return how many descriptors of this process lead to the folder or beneath it."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed just now
            found += str(folder) in str(descriptor.readlink())
    return found

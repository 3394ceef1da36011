"""Answers of prepare and retry about paths: status and code of each refusal; files outside the roots stay unknown."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gridhaul.source.opened import identify
from gridhaul.source.roots import Roots
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope
from gridhaul.transfer.errors import SourceMissing
from gridhaul.transfer.model import Failure, File, RecordId
from gridhaul.transfer.states import STORABLE, FileState
from tests.api.service import Api, authenticator, serving
from tests.contracts.ports import Ports, from_path, new_file, registered

FAILED = Failure(code=SourceMissing.code, detail="It was missing.")


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    """Return a configured root with a file of alice, a file of bob, a FIFO, and links that lead out of the root."""
    exports = tmp_path / "exports"
    for account in ("alice", "bob"):
        (exports / account).mkdir(parents=True)
        (exports / account / "run.h5").write_bytes(b"bytes")
    (tmp_path / "secret").write_bytes(b"secret")
    for name, to in (("file", "../secret"), ("no-file", "../none"), ("folder", ".."), ("no-folder", "../none")):
        (exports / name).symlink_to(to)
    os.mkfifo(exports / "fifo")
    return exports


@pytest.fixture
async def api(ports: Ports, exports: Path) -> AsyncIterator[Api]:
    async with serving(ports, root=exports) as found:
        yield found


@pytest.fixture
async def alice(database: Database, ports: Ports, exports: Path) -> AsyncIterator[Api]:
    """Yield the api for an account that may only send from its own directory."""
    accounts = MongoAccounts(database)
    await accounts.create(NewAccount(username="alice", scopes=(Scope.PREPARE,), roots=(str(exports / "alice"),)))
    account = await accounts.named("alice")
    assert account is not None
    async with serving(ports, root=exports, accounts=accounts) as found:
        token = authenticator(accounts).access_token(account, frozenset(account.scopes))
        found.http.headers["Authorization"] = f"Bearer {token}"
        yield found


async def _prepare(api: Api, path: object) -> tuple[int, dict[str, Any]]:
    answer = await api.http.post("/upload/prepare", json={"file_path": str(path)})
    return answer.status_code, {name: value for name, value in answer.json().items() if name != "instance"}


@pytest.mark.parametrize(
    ("existing", "missing"),
    [
        ("/etc/passwd", "/etc/none"),
        ("{exports}/../secret", "{exports}/../none"),
        ("{exports}/file", "{exports}/no-file"),
        ("{exports}/folder/secret", "{exports}/folder/none"),
        ("{exports}/folder/exports/alice/run.h5", "{exports}/no-folder/exports/alice/run.h5"),
        ("{exports}-evil/run.h5", "{exports}x/none"),
    ],
)
async def test_what_is_outside_is_answered_alike_whether_it_exists_or_not(
    api: Api, exports: Path, existing: str, missing: str
) -> None:
    for_existing, for_missing = [await _prepare(api, path.format(exports=exports)) for path in (existing, missing)]
    assert for_existing == for_missing
    assert (for_existing[0], for_existing[1]["code"]) == (403, "path_not_allowed")
    assert str(exports) not in str(for_existing)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("{exports}/none", 404, "source_missing"),
        ("{exports}/alice", 422, "not_a_regular_file"),
        ("{exports}/fifo", 422, "not_a_regular_file"),
        ("alice/run.h5", 422, "path_invalid"),
        ("{exports}/a\nb", 422, "path_invalid"),
        ("{exports}/a\0b", 422, "path_invalid"),
        ("{exports}/%2e%2e/secret", 404, "source_missing"),
    ],
)
async def test_refusal_says_why(api: Api, exports: Path, path: str, status: int, code: str) -> None:
    answered, problem = await _prepare(api, path.format(exports=exports))
    assert (answered, problem["code"]) == (status, code)


async def test_root_is_recorded_with_the_file(api: Api, ports: Ports, exports: Path) -> None:
    _, made = await _prepare(api, exports / "alice" / "run.h5")
    file = await ports.files.get(RecordId(made["file_id"]))
    assert file is not None
    assert file.source.root == str(exports)


async def test_root_of_the_account_is_recorded_with_its_file(alice: Api, ports: Ports, exports: Path) -> None:
    _, made = await _prepare(alice, exports / "alice" / "run.h5")
    file = await ports.files.get(RecordId(made["file_id"]))
    assert file is not None
    assert file.source.root == str(exports / "alice")


@pytest.mark.parametrize("path", ["bob/run.h5", "bob/none", "fifo", "none", "alice/../bob", "alice/link", "alicex"])
async def test_account_learns_nothing_of_what_is_outside_its_root(alice: Api, exports: Path, path: str) -> None:
    (exports / "alice" / "link").symlink_to("../bob/run.h5")
    answered, problem = await _prepare(alice, exports / path)
    assert (answered, problem["code"]) == (403, "path_not_allowed")


async def _failed(ports: Ports, path: Path, root: Path) -> File:
    identity = await identify(str(path), Roots.any_of((root,)), max_file_bytes=None)
    file = await registered(ports, from_path(new_file(), path=str(path), root=str(root), identity=identity))
    taken = await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert taken is not None
    await ports.files.finish(taken.lease, FileState.FAILED, error=FAILED)
    found = await ports.files.get(file.id)
    assert found is not None
    return found


@pytest.mark.parametrize("to", ["../bob/run.h5", "../bob/none", "/etc/passwd"])
async def test_retry_of_a_file_that_became_a_link_out_of_its_root_is_refused(
    api: Api, ports: Ports, exports: Path, to: str
) -> None:
    path = exports / "alice" / "run.h5"
    before = await _failed(ports, path, exports / "alice")
    path.unlink()
    path.symlink_to(to)
    answer = await api.http.post(f"/files/{before.id}/retry")
    assert (answer.status_code, answer.json()["code"]) == (403, "path_not_allowed")
    assert await ports.files.get(before.id) == before

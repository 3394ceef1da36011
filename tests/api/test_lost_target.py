"""An account that may no longer use a target: resume and retry refuse its files that are to be delivered there."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope
from gridhaul.transfer.model import Destination, File, IfExists
from gridhaul.transfer.states import FILE_MOVES, Action
from tests.api.service import Api, authenticator, serving
from tests.contracts.ports import Ports, mongo_ports, new_file, registered


@pytest.fixture
def ports(database: Database) -> Ports:
    return mongo_ports(database, lease_seconds=60)


@pytest.fixture
async def alice(database: Database, ports: Ports) -> AsyncIterator[Api]:
    """Yield the api for an account that may deliver to `archive` alone."""
    accounts = MongoAccounts(database)
    account = await accounts.create(NewAccount(username="alice", scopes=tuple(Scope), targets=("archive",)))
    async with serving(ports, accounts=accounts) as found:
        token = authenticator(accounts).access_token(account, frozenset({Scope.PREPARE}))
        found.http.headers["Authorization"] = f"Bearer {token}"
        yield found


async def _file_for(ports: Ports, target: str) -> File:
    to = Destination(target=target, object_name="x", if_exists=IfExists.FAIL)
    return await registered(ports, replace(new_file(), owner="alice", deliver_to=to))


@pytest.mark.parametrize(("action", "first"), [("resume", Action.PAUSE), ("retry", Action.CANCEL)])
async def test_file_that_would_be_delivered_there_stays_as_it_is(
    alice: Api, ports: Ports, action: str, first: Action
) -> None:
    file = await _file_for(ports, "mirror")
    moved = await ports.files.move(file.id, FILE_MOVES[first])
    answer = await alice.http.post(f"/files/{file.id}/{action}")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert await ports.files.get(file.id) == moved


async def test_file_for_another_target_goes_on_and_one_for_that_target_can_be_stopped(alice: Api, ports: Ports) -> None:
    kept, lost = await _file_for(ports, "archive"), await _file_for(ports, "mirror")
    answers = [
        await alice.http.post(f"/files/{file.id}/{action}")
        for file, action in ((kept, "pause"), (kept, "resume"), (lost, "pause"), (lost, "cancel"))
    ]
    assert [answer.status_code for answer in answers] == [200] * 4

"""An account that may no longer use a target, or whose target is gone: resume and retry refuse files and deliveries."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest
from structlog.testing import capture_logs

from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount, Scope
from gridhaul.transfer.model import Delivery, File
from gridhaul.transfer.states import DELIVERY_MOVES, FILE_MOVES, Action
from tests.api.service import Api, authenticator, serving
from tests.contracts.ports import Ports, destination, new_delivery, new_file, registered, stored

OF_OTHERS = "mirror"
UNKNOWN = "nowhere"
STOPPED = [("resume", Action.PAUSE), ("retry", Action.CANCEL)]


@pytest.fixture
async def alice(database: Database, ports: Ports) -> AsyncIterator[Api]:
    """Yield the api for an account that may deliver to `archive` alone."""
    accounts = MongoAccounts(database)
    account = await accounts.create(NewAccount(username="alice", scopes=tuple(Scope), targets=("archive",)))
    async with serving(ports, accounts=accounts) as found:
        token = authenticator(accounts).access_token(account, frozenset({Scope.PREPARE, Scope.FINALIZE}))
        found.http.headers["Authorization"] = f"Bearer {token}"
        yield found


async def _file_for(ports: Ports, target: str) -> File:
    return await registered(ports, replace(new_file(deliver_to=[destination(target)]), owner="alice"))


async def _delivery_to(ports: Ports, target: str) -> Delivery:
    """Queue a delivery of a stored file of alice."""
    file = await stored(ports, replace(new_file(), owner="alice"))
    new = new_delivery(destination(target), file_id=file.id)
    delivery, _ = await ports.deliveries.open(replace(new, owner="alice"))
    return delivery


def _refusal(answer: httpx2.Response) -> str:
    """Return the sentence of an answer that refuses the target."""
    assert (answer.status_code, answer.json()["code"]) == (422, "target_unknown")
    return str(answer.json()["detail"])


@pytest.mark.parametrize(("action", "first"), STOPPED)
async def test_file_that_would_be_delivered_there_stays_as_it_is(
    alice: Api, ports: Ports, action: str, first: Action
) -> None:
    said = set()
    for target in (OF_OTHERS, UNKNOWN):
        file = await _file_for(ports, target)
        moved = await ports.files.move(file.id, FILE_MOVES[first])
        said.add(_refusal(await alice.http.post(f"/files/{file.id}/{action}")))
        assert await ports.files.get(file.id) == moved
    assert len(said) == 1


@pytest.mark.parametrize(("action", "first"), STOPPED)
async def test_delivery_there_stays_as_it_is(alice: Api, ports: Ports, action: str, first: Action) -> None:
    said = set()
    for target in (OF_OTHERS, UNKNOWN):
        delivery = await _delivery_to(ports, target)
        moved = await ports.deliveries.move(delivery.id, DELIVERY_MOVES[first])
        said.add(_refusal(await alice.http.post(f"/deliveries/{delivery.id}/{action}")))
        assert await ports.deliveries.get(delivery.id) == moved
    assert len(said) == 1


async def test_refusal_is_audited(alice: Api, ports: Ports) -> None:
    delivery = await _delivery_to(ports, OF_OTHERS)
    await ports.deliveries.move(delivery.id, DELIVERY_MOVES[Action.PAUSE])
    with capture_logs() as lines:
        _refusal(await alice.http.post(f"/deliveries/{delivery.id}/resume"))
    assert [line["code"] for line in lines if line["event"] == "audit"] == ["target_unknown"]


async def test_file_for_another_target_goes_on_and_one_for_that_target_can_be_stopped(alice: Api, ports: Ports) -> None:
    kept, lost = await _file_for(ports, "archive"), await _file_for(ports, OF_OTHERS)
    answers = [
        await alice.http.post(f"/files/{file.id}/{action}")
        for file, action in ((kept, "pause"), (kept, "resume"), (lost, "pause"), (lost, "cancel"))
    ]
    assert [answer.status_code for answer in answers] == [200] * 4

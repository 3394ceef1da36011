"""`/targets/{target_name}/activity`: counts and last deliveries of an account at a target, and who may see them."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import Account, NewAccount, Scope
from gridhaul.transfer.model import Delivery, Failure
from gridhaul.transfer.states import DELIVERABLE, DeliveryState
from tests.api.service import Api, authenticator, serving
from tests.contracts.ports import Ports, destination, new_delivery

TAKEN = Failure(code="object_exists", detail="The target holds other bytes under the name.")


async def queued(ports: Ports, name: str, *, target: str = "archive", owner: str = "operator") -> Delivery:
    new = new_delivery(destination(target, object_name=name))
    return (await ports.deliveries.open(replace(new, owner=owner)))[0]


async def ended(ports: Ports, name: str, state: DeliveryState, error: Failure | None = None) -> Delivery:
    delivery = await ports.deliveries.claim(
        (await queued(ports, name)).id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert delivery is not None
    await ports.deliveries.finish(delivery.lease, state, error=error)
    return delivery


async def shown(api: Api, target: str = "archive", **parameters: str) -> dict[str, Any]:
    answer = await api.http.get(f"/targets/{target}/activity", params=parameters)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_activity_shows_counts_and_how_the_last_deliveries_ended(api: Api, ports: Ports) -> None:
    await queued(ports, "a")
    delivered = await ended(ports, "b", DeliveryState.DELIVERED)
    failed = await ended(ports, "c", DeliveryState.FAILED, TAKEN)
    found = await shown(api)
    times = [found["last_delivered"].pop("at"), found["last_error"].pop("at"), found.pop("counted_at")]
    assert times == sorted(times)
    assert found == {
        "target": "archive",
        "owner": "operator",
        "waiting": 1,
        "running": 0,
        "paused": 0,
        "failed": 1,
        "delivered": 1,
        "last_delivered": {"delivery_id": delivered.id, "object_name": "b"},
        "last_error": {"delivery_id": failed.id, "object_name": "c", "code": TAKEN.code, "detail": TAKEN.detail},
    }


async def test_target_without_deliveries_has_no_activity(api: Api, ports: Ports) -> None:
    await queued(ports, "a", target="mirror")
    found = await shown(api)
    assert [found[name] for name in ("waiting", "running", "paused", "failed", "delivered")] == [0] * 5
    assert (found["last_delivered"], found["last_error"]) == (None, None)


async def test_deliveries_that_are_sent_or_committed_are_running(api: Api, ports: Ports) -> None:
    for name, state in (("a", DeliveryState.STREAMING), ("b", DeliveryState.COMMITTING)):
        await ports.deliveries.claim(
            (await queued(ports, name)).id, holder="worker", from_states=DELIVERABLE, to_state=state
        )
    assert (await shown(api))["running"] == 2


async def test_admin_names_any_account(api: Api, ports: Ports) -> None:
    await queued(ports, "a", owner="bob")
    found = await shown(api, owner="bob")
    assert (found["owner"], found["waiting"]) == ("bob", 1)
    assert (await shown(api))["waiting"] == 0


async def test_all_targets_of_an_account_are_counted_at_once_and_kept_for_a_while(ports: Ports) -> None:
    async with serving(ports, fresh_seconds=60) as api:
        first = await shown(api)
        await queued(ports, "a", target="mirror")
        again = await shown(api, "mirror")
        assert (again["waiting"], again["counted_at"]) == (0, first["counted_at"])


@pytest.mark.parametrize("name", ["nowhere", "a%20b", "Archive"])
async def test_unknown_target_is_refused(api: Api, name: str) -> None:
    answer = await api.http.get(f"/targets/{name}/activity")
    assert (answer.status_code, answer.json()["code"]) == (422, "target_unknown")


async def test_account_sees_its_own_targets_and_its_own_deliveries(database: Database, ports: Ports) -> None:
    await queued(ports, "a", owner="alice")
    accounts = MongoAccounts(database)
    alice = await accounts.create(NewAccount(username="alice", scopes=(Scope.READ,), targets=("archive",)))
    async with serving(ports, accounts=accounts) as api:
        assert (await ask_as(alice, api, accounts, "archive")).json()["waiting"] == 1
        assert (await ask_as(alice, api, accounts, "mirror")).json()["code"] == "target_unknown"
        assert (await ask_as(alice, api, accounts, "archive", owner="alice")).status_code == 200
        refused = await ask_as(alice, api, accounts, "archive", owner="bob")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def ask_as(
    account: Account, api: Api, accounts: MongoAccounts, target: str, **parameters: str
) -> httpx2.Response:
    token = authenticator(accounts).access_token(account, frozenset(account.scopes))
    headers = {"Authorization": f"Bearer {token}"}
    return await api.http.get(f"/targets/{target}/activity", params=parameters, headers=headers)

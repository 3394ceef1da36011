"""DELETE of a file: with deliveries open, with `?cancel=true`, and at the same moment as a finalize."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import httpx2
import pytest

from gridhaul.storage.connect import Database
from gridhaul.storage.deliveries import MongoDeliveries
from gridhaul.transfer.model import Delivery, NewDelivery, RecordId
from gridhaul.transfer.states import DELIVERABLE, OPEN, OVER, DeliveryState, FileState
from tests.api.service import Api, serving
from tests.contracts.ports import (
    SHA256,
    Ports,
    claimed,
    destination,
    new_delivery,
    new_file,
    registered,
    stored,
)

ROUNDS = 60


async def _delivery_in(ports: Ports, state: DeliveryState) -> Delivery:
    file = await stored(ports)
    await ports.deliveries.open(new_delivery(destination(), file_id=file.id))
    (delivery,) = await ports.deliveries.of_file(file.id)
    taken = await ports.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.renew(taken.lease, state=state)
    return taken


async def _finalize(api: Api, file_id: RecordId, target: str = "archive") -> httpx2.Response:
    return await api.http.post(
        f"/upload/{file_id}/finalize", json={"target": target}, headers={"content-sha256": SHA256}
    )


async def _state(ports: Ports, file_id: RecordId) -> FileState:
    file = await ports.files.get(file_id)
    assert file is not None
    return file.state


@pytest.mark.parametrize("state", sorted(OPEN))
async def test_file_with_an_open_delivery_is_kept_unless_that_is_cancelled(
    api: Api, ports: Ports, state: DeliveryState
) -> None:
    delivery = await _delivery_in(ports, state)
    refused = await api.http.delete(f"/files/{delivery.file_id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "delivery_open")
    deleted = await api.http.delete(f"/files/{delivery.file_id}", params={"cancel": "true"})
    found = await ports.deliveries.get(delivery.id)
    assert found is not None
    if state is DeliveryState.COMMITTING:
        assert (deleted.status_code, deleted.json()["code"]) == (409, "delivery_open")
        assert (await _state(ports, delivery.file_id), found.state) == (FileState.STORED, state)
    else:
        assert (deleted.status_code, deleted.json()["state"]) == (202, "DELETING")
        assert found.state is DeliveryState.CANCELLED


@pytest.mark.parametrize("state", sorted(OVER))
async def test_file_whose_deliveries_are_over_is_deleted(api: Api, ports: Ports, state: DeliveryState) -> None:
    delivery = await _delivery_in(ports, state)
    deleted = await api.http.delete(f"/files/{delivery.file_id}")
    assert (deleted.status_code, deleted.json()["state"]) == (202, "DELETING")
    assert api.hinted() == [("tasks.delete_file", delivery.file_id)]


@pytest.mark.parametrize("state", [FileState.REGISTERED, FileState.STORING, FileState.PAUSED])
async def test_file_that_is_not_stored_yet_is_deleted_only_when_cancelled(
    api: Api, ports: Ports, state: FileState
) -> None:
    file = await claimed(ports, await registered(ports))
    await ports.files.renew(file.lease, state=state)
    refused = await api.http.delete(f"/files/{file.id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    assert "cancel it first" in refused.json()["detail"]
    for _ in range(2):
        deleted = await api.http.delete(f"/files/{file.id}", params={"cancel": "true"})
        assert (deleted.status_code, deleted.json()["state"]) == (202, "DELETING")


async def test_file_whose_delivery_is_still_to_be_made_is_kept_for_a_moment(api: Api, ports: Ports) -> None:
    file = await stored(ports, new_file(deliver_to=[destination()]))
    refused = await api.http.delete(f"/files/{file.id}")
    assert (refused.status_code, refused.json()["code"]) == (409, "delivery_open")
    assert refused.headers["retry-after"]
    await ports.files.deliveries_made({file.id: 1})
    assert (await api.http.delete(f"/files/{file.id}")).status_code == 202


async def test_of_a_delete_and_finalizes_at_once_never_both_are_accepted(api: Api, ports: Ports) -> None:
    both, neither = 0, 0
    for _ in range(ROUNDS):
        file = await stored(ports)
        deleted, *finalized = await asyncio.gather(
            api.http.delete(f"/files/{file.id}"),
            _finalize(api, file.id),
            _finalize(api, file.id),
            _finalize(api, file.id, "mirror"),
        )
        accepted = [answer for answer in finalized if answer.status_code in (200, 202)]
        assert {answer.status_code for answer in (deleted, *finalized)} <= {200, 202, 409}
        both += deleted.status_code == 202 and bool(accepted)
        neither += deleted.status_code == 409 and not accepted
        state = await _state(ports, file.id)
        assert state is (FileState.DELETING if deleted.status_code == 202 else FileState.STORED)
        if state is FileState.DELETING:
            left = [one for one in await ports.deliveries.of_file(file.id) if one.state in OPEN]
            assert not left, "the delivery of a refused finalize is taken back"
    assert (both, neither) == (0, 0)


class _Gated(MongoDeliveries):
    """Deliveries in a forced order: a finalize opens its delivery right after a delete has looked at the deliveries."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, lease_seconds=60)
        self.looked, self.opened, self.decided = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def of_file(self, file_id: RecordId) -> Sequence[Delivery]:
        found = await super().of_file(file_id)
        self.looked.set()
        await self.opened.wait()
        return found

    async def open(self, new: NewDelivery, *, who: str | None = None) -> tuple[Delivery, bool]:
        await self.looked.wait()
        found = await super().open(new, who=who)
        self.opened.set()
        await self.decided.wait()
        return found


async def test_delivery_that_the_delete_did_not_see_is_taken_back(ports: Ports, database: Database) -> None:
    gated = _Gated(database)
    file = await stored(ports)
    async with serving(replace(ports, deliveries=gated)) as api:
        finalizing = asyncio.create_task(_finalize(api, file.id))
        deleted = await api.http.delete(f"/files/{file.id}")
        gated.decided.set()
        refused = await finalizing
    assert deleted.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    (delivery,) = await ports.deliveries.of_file(file.id)
    assert delivery.state is DeliveryState.CANCELLED


async def test_delete_that_did_not_see_an_accepted_delivery_is_refused(ports: Ports, database: Database) -> None:
    class Later(_Gated):
        async def of_file(self, file_id: RecordId) -> Sequence[Delivery]:
            found = await MongoDeliveries.of_file(self, file_id)
            self.looked.set()
            await self.decided.wait()
            return found

        async def open(self, new: NewDelivery, *, who: str | None = None) -> tuple[Delivery, bool]:
            await self.looked.wait()
            return await MongoDeliveries.open(self, new, who=who)

    later = Later(database)
    file = await stored(ports)
    async with serving(replace(ports, deliveries=later)) as api:
        deleting = asyncio.create_task(api.http.delete(f"/files/{file.id}"))
        accepted = await _finalize(api, file.id)
        later.decided.set()
        refused = await deleting
    assert accepted.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (409, "delivery_open")
    assert await _state(ports, file.id) is FileState.STORED

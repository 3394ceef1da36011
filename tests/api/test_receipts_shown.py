"""The api shows how far reading back an object has come, and the source's attributes in a receipt."""

from typing import Any

import pytest

from gridhaul.storage.connect import Database
from gridhaul.transfer.model import Delivery, Evidence, Receipt
from gridhaul.transfer.states import DELIVERABLE, DeliveryState
from tests.api.service import Api
from tests.contracts.ports import Ports, destination, new_delivery, stored
from tests.file_times import YEAR_2400

ATTRIBUTES = ("mtime", "mode", "mtime_kept", "mode_kept")


async def claimed(ports: Ports) -> Delivery:
    file = await stored(ports)
    delivery, _ = await ports.deliveries.open(new_delivery(destination(), file_id=file.id))
    taken = await ports.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    return taken


def receipt(**attributes: Any) -> Receipt:
    return Receipt(
        length=5,
        sha256="ab" * 32,
        manifest_root="cd" * 32,
        target="archive",
        object_name="run.h5",
        location="/srv/run.h5",
        evidence=Evidence.READ_BACK,
        atomic_commit=True,
        attempts=1,
        **attributes,
    )


async def shown(api: Api, delivery: Delivery) -> dict[str, Any]:
    found: dict[str, Any] = (await api.http.get(f"/deliveries/{delivery.id}")).json()
    return found


async def test_bytes_that_are_read_back_are_shown(api: Api, ports: Ports) -> None:
    delivery = await claimed(ports)
    assert (await shown(api, delivery))["checked_bytes"] == 0
    await ports.deliveries.renew(delivery.lease, checked_bytes=3)
    assert (await shown(api, delivery))["checked_bytes"] == 3


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {"mtime_ns": 1_600_000_000_123_456_789, "mode": 0o640, "mtime_kept": True},
            ("2020-09-13T12:26:40.123456Z", "0640", True, False),
        ),
        ({"mtime_ns": YEAR_2400, "mode": 0, "mode_kept": True}, ("2400-01-01T00:00:00Z", "0000", False, True)),
        ({"mtime_ns": -(2**70), "mode": 0o4755}, (None, "4755", False, False)),
        ({}, (None, None, False, False)),
    ],
)
async def test_receipt_shows_the_attributes_of_the_source(
    api: Api, ports: Ports, attributes: dict[str, Any], expected: tuple[object, ...]
) -> None:
    delivery = await claimed(ports)
    await ports.deliveries.finish(delivery.lease, DeliveryState.DELIVERED, receipt=receipt(**attributes))
    found = (await shown(api, delivery))["receipt"]
    assert tuple(found[name] for name in ATTRIBUTES) == expected


async def test_receipt_of_an_earlier_version_shows_that_nothing_is_known(
    api: Api, ports: Ports, database: Database
) -> None:
    delivery = await claimed(ports)
    await ports.deliveries.finish(delivery.lease, DeliveryState.DELIVERED, receipt=receipt())
    older = {f"receipt.{name}": "" for name in ("mtime_ns", "mode", "mtime_kept", "mode_kept")}
    await database["deliveries"].update_one({}, {"$unset": {**older, "checked_bytes": ""}})
    found = await shown(api, delivery)
    assert (found["checked_bytes"], *(found["receipt"][name] for name in ATTRIBUTES)) == (0, None, None, False, False)

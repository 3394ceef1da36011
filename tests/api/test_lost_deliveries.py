"""A delivery whose object a check found lost is shown as that, and can be queued again; others that are over stay."""

from dataclasses import replace

import httpx2

from gridhaul.transfer.model import Delivery, Failure, IfExists
from tests.api.service import Api
from tests.contracts.ports import SHA256, Ports, destination, new_delivery, stored
from tests.contracts.test_lost_deliveries import GONE, RECEIPT, delivered

WHY = {"code": GONE.code, "detail": GONE.detail}


async def _delivered(ports: Ports, object_error: Failure | None) -> Delivery:
    file = await stored(ports)
    new = new_delivery(destination(), file_id=file.id)
    await ports.deliveries.open(new)
    return await delivered(ports, object_error=object_error, new=new)


async def _finalize(api: Api, delivery: Delivery, **options: str) -> httpx2.Response:
    body = {"target": "archive", **options}
    return await api.http.post(f"/upload/{delivery.file_id}/finalize", json=body, headers={"content-sha256": SHA256})


async def test_lost_delivery_is_shown_and_its_receipt_becomes_a_former_one_with_the_retry(
    api: Api, ports: Ports
) -> None:
    lost = await _delivered(ports, GONE)
    before = (await api.http.get(f"/deliveries/{lost.id}")).json()
    assert (before["state"], before["object_error"], before["former_receipts"]) == ("DELIVERED", WHY, [])
    answer = await api.http.post(f"/deliveries/{lost.id}/retry")
    again = answer.json()
    assert (answer.status_code, again["state"], again["receipt"], again["object_error"]) == (200, "QUEUED", None, None)
    assert again["former_receipts"] == [{**before["receipt"], "object_error": WHY}]
    assert api.hinted() == [("tasks.finalize_file", lost.id)]
    repeated = await api.http.post(f"/deliveries/{lost.id}/retry")
    assert (repeated.status_code, repeated.json()) == (200, again)


async def test_retry_never_puts_a_lost_object_over_that_of_a_later_delivery(api: Api, ports: Ports) -> None:
    lost = await _delivered(ports, GONE)
    to = destination(object_name=lost.object_name, if_exists=IfExists.OVERWRITE)
    later = replace(new_delivery(to, file_id=(await stored(ports)).id), sha256="ef" * 32)
    await ports.deliveries.open(later)
    await delivered(ports, object_error=None, new=later, receipt=replace(RECEIPT, sha256="ef" * 32))
    answer = await api.http.post(f"/deliveries/{lost.id}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
    assert "under another name" in answer.json()["detail"]
    assert await ports.deliveries.get(lost.id) == lost


async def test_finalize_again_delivers_nothing_twice_and_tells_that_the_object_is_lost(api: Api, ports: Ports) -> None:
    lost = await _delivered(ports, GONE)
    answer = await _finalize(api, lost)
    assert (answer.status_code, answer.json()["state"], answer.json()["object_error"]) == (200, "DELIVERED", WHY)
    assert not api.hints
    assert await ports.deliveries.get(lost.id) == lost


async def test_delivery_that_is_not_known_to_be_lost_is_not_queued_again(api: Api, ports: Ports) -> None:
    right = await _delivered(ports, None)
    answer = await api.http.post(f"/deliveries/{right.id}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
    assert "a check (fsck) finds out whether its object is lost" in answer.json()["detail"]
    assert (await _finalize(api, right)).status_code == 200
    assert (await _finalize(api, right, if_exists="overwrite")).json()["code"] == "options_conflict"
    assert not api.hints
    assert await ports.deliveries.get(right.id) == right


async def test_file_of_a_lost_delivery_can_be_deleted_and_a_retry_then_says_so(api: Api, ports: Ports) -> None:
    lost = await _delivered(ports, GONE)
    assert (await api.http.delete(f"/files/{lost.file_id}")).status_code == 202
    for answer in (await api.http.post(f"/deliveries/{lost.id}/retry"), await _finalize(api, lost)):
        assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
        assert "has no stored bytes" in answer.json()["detail"]
    assert await ports.deliveries.get(lost.id) == lost

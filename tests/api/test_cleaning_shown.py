"""A record whose cleaning fails shows what remains, and why: a delivery its leftovers, a file why it is still there."""

from gridhaul.transfer.model import Failure
from gridhaul.transfer.states import DELIVERABLE, DeliveryState, FileState
from tests.api.service import Api
from tests.contracts.ports import Ports, destination, new_delivery, stored

LEFT = "in/.gridhaul-6740c0ffee0123456789dddd-1.part"
WHY = Failure(code="target_refused", detail="The target answered 405.")


async def test_delivery_shows_what_could_not_be_removed_and_why(api: Api, ports: Ports) -> None:
    file = await stored(ports)
    delivery, _ = await ports.deliveries.open(new_delivery(destination(), file_id=file.id))
    shown = (await api.http.get(f"/deliveries/{delivery.id}")).json()
    assert (shown["leftovers"], shown["cleaning_error"]) == ([], None)
    taken = await ports.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    await ports.deliveries.finish(taken.lease, DeliveryState.DELIVERED, leftovers=(LEFT,), cleaning_error=WHY)
    why = {"code": WHY.code, "detail": WHY.detail}
    alone = (await api.http.get(f"/deliveries/{delivery.id}")).json()
    (of_file,) = (await api.http.get(f"/files/{file.id}/deliveries")).json()["deliveries"]
    (listed,) = (await api.http.get("/deliveries")).json()["deliveries"]
    for shown in (alone, of_file, listed):
        assert (shown["error"], shown["leftovers"], shown["cleaning_error"]) == (None, [LEFT], why)


async def test_file_that_cannot_be_deleted_yet_shows_why(api: Api, ports: Ports) -> None:
    file = await stored(ports)
    await ports.files.request_delete(file.id, deliveries_asked=0)
    deleting = frozenset({FileState.DELETING})
    taken = await ports.files.claim(file.id, holder="w", from_states=deleting, to_state=FileState.DELETING)
    assert taken is not None
    why = Failure(code="database_unavailable", detail="The database does not answer.")
    await ports.files.release(taken.lease, FileState.DELETING, delay_seconds=60, error=why)
    shown = (await api.http.get(f"/files/{file.id}")).json()
    assert (shown["state"], shown["error"]) == ("DELETING", {"code": why.code, "detail": why.detail})

"""Records that wait for their next attempt: what the api tells of them, and a retry that ends the waiting."""

from datetime import datetime
from typing import Any

from gridhaul.transfer.errors import Patience
from gridhaul.transfer.model import Delivery, Failure, File, Queue
from gridhaul.transfer.states import DELIVERABLE, STORABLE, DeliveryState, FileState
from tests.api.service import Api
from tests.contracts.ports import Ports, destination, eventually, new_delivery, registered, stored

AWAY = Failure(code="target_unavailable", detail="The target does not answer.")


async def waiting_file(ports: Ports) -> File:
    file = await registered(ports)
    taken = await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert taken is not None
    await ports.files.wait(taken.lease, FileState.REGISTERED, patience=Patience.HOURS, delay_seconds=600, error=AWAY)
    return taken


async def claimed_delivery(ports: Ports) -> Delivery:
    delivery, _ = await ports.deliveries.open(new_delivery(destination(), file_id=(await stored(ports)).id))
    taken = await ports.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert taken is not None
    return taken


async def waiting_delivery(ports: Ports) -> Delivery:
    taken = await claimed_delivery(ports)
    await ports.deliveries.wait(
        taken.lease, DeliveryState.QUEUED, patience=Patience.HOURS, delay_seconds=600, error=AWAY
    )
    return taken


def assert_waits(shown: dict[str, Any]) -> None:
    assert shown["waiting"] == shown["error"] == {"code": AWAY.code, "detail": AWAY.detail}
    pause = datetime.fromisoformat(shown["next_attempt_at"]) - datetime.fromisoformat(shown["waiting_since"])
    assert 599 <= pause.total_seconds() <= 601


async def test_record_that_waits_tells_why_since_when_and_until_when(api: Api, ports: Ports) -> None:
    file, delivery = await waiting_file(ports), await waiting_delivery(ports)
    assert_waits((await api.http.get(f"/files/{file.id}")).json())
    assert_waits((await api.http.get(f"/deliveries/{delivery.id}")).json())


async def test_retry_of_a_waiting_record_makes_it_due_now(api: Api, ports: Ports) -> None:
    file, delivery = await waiting_file(ports), await waiting_delivery(ports)
    for path, state in ((f"/files/{file.id}", "REGISTERED"), (f"/deliveries/{delivery.id}", "QUEUED")):
        answer = await api.http.post(f"{path}/retry")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
        shown = answer.json()
        assert datetime.fromisoformat(shown["next_attempt_at"]) <= datetime.fromisoformat(shown["updated_at"])
    hinted = await ports.agenda.overlooked(Queue.SMALL, 10, seconds=0)
    assert {file.id, delivery.id} <= {hint.record_id for hint in hinted}
    claimed = await ports.deliveries.claim(
        delivery.id, holder="w", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert claimed is not None


async def test_delivery_whose_cleaning_waits_is_not_said_to_wait(api: Api, ports: Ports) -> None:
    taken = await claimed_delivery(ports)
    await ports.deliveries.finish(taken.lease, DeliveryState.DELIVERED, leftovers=("x",))
    cleaning = await eventually(lambda: ports.deliveries.claim_cleaning(taken.id, holder="w"))
    assert cleaning is not None
    await ports.deliveries.wait(
        cleaning.lease, DeliveryState.DELIVERED, patience=Patience.HOURS, delay_seconds=600, cleaning_error=AWAY
    )
    shown = (await api.http.get(f"/deliveries/{taken.id}")).json()
    assert (shown["waiting"], shown["waiting_since"], shown["next_attempt_at"]) == (None, None, None)
    assert shown["cleaning_error"] == {"code": AWAY.code, "detail": AWAY.detail}


async def test_record_that_does_not_wait_tells_no_times(api: Api, ports: Ports) -> None:
    taken = await claimed_delivery(ports)
    shown = (await api.http.get(f"/deliveries/{taken.id}")).json()
    assert (shown["waiting"], shown["waiting_since"], shown["next_attempt_at"]) == (None, None, None)
    answer = await api.http.post(f"/deliveries/{taken.id}/retry")
    assert (answer.status_code, answer.json()["state"]) == (200, "STREAMING")

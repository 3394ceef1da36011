"""The lines that a worker logs of a delivery through a stage, from which its times can be told."""

from collections.abc import Mapping, Sequence
from typing import Any

from structlog.testing import capture_logs

from gridhaul.transfer.model import Delivery, Evidence
from gridhaul.transfer.states import DeliveryState
from tests.tasks.delivery_bench import Bench

STEPS = ("stage_begins", "stage_written", "object_checked", "stage_committed", "attempt_done")


def of(delivery: Delivery, lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [line for line in lines if line.get("record_id") == delivery.id]


async def test_each_step_of_a_delivery_is_logged_once_in_order(bench: Bench) -> None:
    with capture_logs() as lines:
        delivery = await bench.deliver(b"five!", "disk")
    assert delivery.state is DeliveryState.DELIVERED
    logged = of(delivery, lines)
    assert tuple(line["event"] for line in logged) == STEPS
    assert {line["fence"] for line in logged} == {delivery.fence}
    assert [line["evidence"] for line in logged if line["event"] == "object_checked"] == [Evidence.READ_BACK]

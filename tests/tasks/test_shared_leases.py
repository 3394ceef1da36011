"""Leases of deliveries that are made together: what was let go of counts as lost."""

import time

import pytest

from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.states import DELIVERABLE, DeliveryState
from tasks.delivering.shared_leases import SharedLeases
from tests.contracts.bytes_to_store import some_bytes
from tests.tasks.delivery_bench import Bench


async def test_lease_that_was_let_go_is_returned_once_and_refused_from_then_on(bench: Bench) -> None:
    new = await bench.file_of(some_bytes(3))
    delivery, _ = await bench.deliveries.open(new)
    claimed = await bench.deliveries.claim(
        delivery.id, holder="worker", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert claimed is not None
    leases = SharedLeases(
        bench.deliveries,
        [claimed],
        claimed_at=time.monotonic(),
        lease_seconds=30,
        renew_seconds=10,
        stopping=lambda: False,
    )
    leases.check(claimed.id)
    assert leases.let_go() == [claimed.lease]
    with pytest.raises(LeaseLost):
        leases.check(claimed.id)
    assert leases.let_go() == []

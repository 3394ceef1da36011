"""The leases of deliveries that are made together: they are renewed and looked at by one command for all of them."""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from gridhaul.transfer.errors import DatabaseUnavailable, LeaseLost, StopRequested
from gridhaul.transfer.model import Delivery, Lease, RecordId
from gridhaul.transfer.ports.deliveries import BundledDeliveries
from tasks.attempt import LEASE_LOOK_SECONDS, TICK_SECONDS, Tenure


class SharedLeases:
    """The leases that certainly still hold, and the work that stops when one is lost.

    `claimed_at` is a time of the monotonic clock before the deliveries were claimed.
    """

    def __init__(
        self,
        records: BundledDeliveries,
        claimed: Collection[Delivery],
        *,
        claimed_at: float,
        lease_seconds: float,
        renew_seconds: float,
        stopping: Callable[[], bool],
    ) -> None:
        self._records = records
        self._leases = {delivery.id: delivery.lease for delivery in claimed}
        self._tenure = Tenure(lease_seconds)
        self._tenure.renewed_at = claimed_at
        self._renew_seconds = renew_seconds
        self._stopping = stopping
        self._working: dict[RecordId, asyncio.Task[None]] = {}

    def check(self, delivery_id: RecordId) -> None:
        """Raise LeaseLost unless the lease certainly holds. Any thread may call this."""
        if delivery_id not in self._leases:
            raise LeaseLost("the delivery was taken from its worker")
        self._tenure.check()

    def let_go(self) -> list[Lease]:
        """Return the leases that are still held, for the caller to release; from now on `check` refuses them."""
        held, self._leases = [*self._leases.values()], {}
        return held

    def end(self, delivery_ids: Collection[RecordId]) -> None:
        """Forget leases that the caller has ended."""
        for delivery_id in delivery_ids:
            self._leases.pop(delivery_id, None)

    def keep(self, asked: Collection[RecordId], held: Collection[RecordId]) -> None:
        """Stop the work on each delivery that was asked for and is no longer held."""
        for delivery_id in set(asked) - set(held):
            self._leases.pop(delivery_id, None)
            if delivery_id in self._working:
                self._working[delivery_id].cancel()

    async def work_on(self, delivery_id: RecordId, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work. Return False if it was stopped because the lease is lost. Raises what the work raises."""
        task = self._working[delivery_id] = asyncio.create_task(work)
        try:
            await asyncio.wait([task])
        finally:
            del self._working[delivery_id]
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        if task.cancelled():
            return False
        task.result()
        return True

    async def hold_during(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work, and keep the leases meanwhile. Raises what the work raises.

        Cancel the work and raise StopRequested if the worker is to stop, and LeaseLost if the leases may have ended.
        """
        task = asyncio.create_task(work)
        try:
            looked_at = time.monotonic()
            while not (await asyncio.wait([task], timeout=TICK_SECONDS))[0]:
                if self._stopping():
                    raise StopRequested
                self._tenure.check()
                if time.monotonic() - looked_at >= LEASE_LOOK_SECONDS:
                    looked_at = time.monotonic()
                    await self._look()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        task.result()

    async def _look(self) -> None:
        """Look which leases still hold, and renew them if that is due."""
        leases, asked_at = dict(self._leases), time.monotonic()
        renewing = asked_at - self._tenure.renewed_at >= self._renew_seconds
        try:
            async with asyncio.timeout(min(self._renew_seconds, self._tenure.seconds_left)):
                if renewing:
                    held = await self._records.renew_all({lease: {} for lease in leases.values()})
                else:
                    held = await self._records.held(leases.values())
        except (DatabaseUnavailable, TimeoutError):
            return
        self.keep(leases, held)
        if renewing:
            self._tenure.renewed_at = asked_at

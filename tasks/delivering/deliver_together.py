"""The journey of several small deliveries together: they are claimed, read, sent, renamed and finished at once.

A bundle is only a fast way, for deliveries that meet nothing unusual. If anything goes wrong with a delivery, the
bundle gives it back as if it had not been claimed. Then the delivery makes its own journey (`tasks/finalize_file.py`),
which removes what the bundle left at the target, and reports the error.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from gridhaul.transfer.bundle import packed
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError, LeaseLost, StopRequested, TargetUnavailable
from gridhaul.transfer.model import Delivery, RecordId
from gridhaul.transfer.ports.targets import LooksTogether, Staging, Target
from gridhaul.transfer.states import DeliveryState, FileState
from tasks.delivering.look_together import Looks
from tasks.delivering.shared_leases import SharedLeases
from tasks.delivering.small_delivery import LooksAndCommits, SmallDelivery
from tasks.finalize_file import deliver_file
from tasks.one_by_one import one_by_one
from tasks.runtime import Runtime

BYTES_AT_ONCE = 32 << 20  # of contents that one bundle holds in memory
STEPS_AT_ONCE = 8  # each with a connection to the target

Step = Callable[[SmallDelivery], Coroutine[Any, Any, None]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedTogether:
    """Deliveries that were claimed in one write."""

    asked: Sequence[RecordId]  # those that were to be claimed; some may be unusual, or not due any more
    deliveries: Sequence[Delivery]
    at: float  # a time before the claim, by the monotonic clock


async def deliver_together(runtime: Runtime, delivery_ids: Sequence[RecordId]) -> None:
    """Make the deliveries together, then each delivery that is or met something unusual by itself."""
    await deliver_claimed(runtime, await claim_together(runtime, delivery_ids))


async def claim_together(runtime: Runtime, delivery_ids: Sequence[RecordId]) -> ClaimedTogether:
    """Claim the plain ones of the deliveries."""
    at = time.monotonic()
    deliveries = await runtime.deliveries.claim_plain(delivery_ids, holder=runtime.holder)
    return ClaimedTogether(asked=delivery_ids, deliveries=deliveries, at=at)


async def deliver_claimed(runtime: Runtime, claimed: ClaimedTogether) -> None:
    """Make the claimed deliveries together, then each other one that was asked for by itself.

    The first delivery to a target that is to be probed goes by itself and probes it; the others go together after that.
    """
    bundle = await _deliver_plain(runtime, claimed)
    done, waiting = bundle.delivered, _by_target(bundle.unprobed).values()
    first = [deliveries[0].id for deliveries in waiting]
    await one_by_one(runtime, deliver_file, first)
    others = [delivery.id for deliveries in waiting for delivery in deliveries[1:]]
    if others:
        done |= (await _deliver_plain(runtime, await claim_together(runtime, others))).delivered
    left = [delivery_id for delivery_id in claimed.asked if delivery_id not in {*done, *first}]
    await one_by_one(runtime, deliver_file, left)


async def _deliver_plain(runtime: Runtime, claim: ClaimedTogether) -> "_Bundle":
    """Make the claimed deliveries together, and release those that are not made."""
    attempts, claimed = runtime.delivery_attempts, claim.deliveries
    leases = SharedLeases(
        runtime.deliveries,
        claimed,
        claimed_at=claim.at,
        lease_seconds=attempts.lease_seconds,
        renew_seconds=attempts.renew_seconds,
        stopping=runtime.stopping,
    )
    if claimed:
        runtime.turns.note(claimed[0].owner)
    bundle = _Bundle(runtime, leases)
    try:
        await leases.hold_during(bundle.deliver(claimed))
        log.info("deliveries_made", claimed=len(claimed), delivered=len(bundle.delivered))
    except (GridhaulError, LeaseLost, StopRequested) as error:
        log.warning("deliveries_given_up", code=getattr(error, "code", type(error).__name__))
    except Exception:
        log.exception("deliveries_broke")
    given_back = leases.let_go()  # before they are released: nothing may be sent beside the next owner
    if given_back:
        with suppress(DatabaseUnavailable):  # leases that are not released run out by themselves
            await runtime.deliveries.release_all(given_back)
    return bundle


class _Bundle:
    """Claimed deliveries that are made together. Each step leaves out those that meet something unusual."""

    def __init__(self, runtime: Runtime, leases: SharedLeases) -> None:
        self._runtime = runtime
        self._deliveries = runtime.deliveries
        self._leases = leases
        self.delivered: set[RecordId] = set()
        self.unprobed: list[Delivery] = []  # a delivery on its own journey has to probe their targets

    async def deliver(self, claimed: Collection[Delivery]) -> None:
        for name, deliveries in _by_target(claimed).items():
            for some in packed(deliveries, most_bytes=BYTES_AT_ONCE):
                with suppress(GridhaulError):  # each delivery meets the error on its own journey again, and reports it
                    await self._deliver_to(await self._runtime.targets.get(name), some)

    async def _deliver_to(self, target: Target, deliveries: Sequence[Delivery]) -> None:
        """Make the deliveries if the target has the abilities for that, and needs no probe."""
        if not isinstance(target, LooksTogether) or not isinstance(target, Staging):
            return
        if not await self._runtime.targets.is_ready(target):
            self.unprobed += deliveries
        elif target.abilities.exclusive:  # otherwise each delivery looks right before its commit, or is refused
            await self._deliver_some(target, deliveries)

    async def _deliver_some(self, target: LooksAndCommits, deliveries: Sequence[Delivery]) -> None:
        """Make deliveries whose contents fit into memory together."""
        named = await self._hold_names(await self._read(target, deliveries))
        looks = Looks(target)
        taken = await looks.at([one.name for one in named])
        sent = await self._each([one for one in named if one.name not in taken], SmallDelivery.send)
        renamed = await self._each(await self._note_committing(sent), SmallDelivery.rename)
        shown = await looks.at([one.name for one in renamed])
        await self._finish(await self._each(renamed, lambda one: one.confirm(shown.get(one.name))))

    async def _read(self, target: LooksAndCommits, deliveries: Sequence[Delivery]) -> list[SmallDelivery]:
        """Read and check the contents."""
        files = await self._runtime.files.get_all([delivery.file_id for delivery in deliveries])
        stored = {file.id: file for file in files if file.state is FileState.STORED}
        contents = {file.id: file.content_id for file in stored.values() if file.content_id is not None}
        whole = await self._runtime.contents.read_whole([*contents.values()])
        read = []
        for delivery in deliveries:
            found = whole.get(contents.get(delivery.file_id, RecordId("")))
            if found is not None and found.content.sha256 == delivery.sha256:
                source = stored[delivery.file_id].origin.attributes
                read.append(SmallDelivery(delivery, found, source, target=target, leases=self._leases))
        return read

    async def _hold_names(self, deliveries: Sequence[SmallDelivery]) -> list[SmallDelivery]:
        """Hold the final names against other deliveries, and note the temporary ones before a byte is sent."""
        holding = await self._deliveries.hold_names({one.delivery.lease: (one.temporary,) for one in deliveries})
        return [one for one in deliveries if one.delivery.id in holding]

    async def _note_committing(self, deliveries: Sequence[SmallDelivery]) -> list[SmallDelivery]:
        held = await self._deliveries.renew_all({one.delivery.lease: one.said_before_rename() for one in deliveries})
        self._leases.keep([one.delivery.id for one in deliveries], held)
        return [one for one in deliveries if one.delivery.id in held]

    async def _finish(self, deliveries: Sequence[SmallDelivery]) -> None:
        said = {one.delivery.lease: await one.said_at_end() for one in deliveries}
        await self._deliveries.finish_all(said, DeliveryState.DELIVERED)
        ended = {lease.record_id for lease in said}
        self._leases.end(ended)
        self.delivered |= ended

    async def _each(self, deliveries: Sequence[SmallDelivery], step: Step) -> list[SmallDelivery]:
        """Do the step for several deliveries at once, and return those for which it succeeded.

        Once the target is away, the step does not begin for further deliveries.
        """
        waiting, succeeded = iter(deliveries), []
        is_away = False

        async def do_steps() -> None:
            nonlocal is_away
            for one in waiting:
                try:
                    if await self._leases.work_on(one.delivery.id, step(one)):
                        succeeded.append(one)
                except (GridhaulError, LeaseLost) as error:
                    log.info("delivery_left_out", record_id=one.delivery.id, code=getattr(error, "code", "lease_lost"))
                    is_away = is_away or isinstance(error, TargetUnavailable)
                if is_away:
                    return

        async with asyncio.TaskGroup() as steps:  # an unexpected exception stops all of them before the group raises it
            for _ in range(STEPS_AT_ONCE):
                steps.create_task(do_steps())
        return succeeded


def _by_target(deliveries: Collection[Delivery]) -> Mapping[str, list[Delivery]]:
    found: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        found[delivery.target].append(delivery)
    return found

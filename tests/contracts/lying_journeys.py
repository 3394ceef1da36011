"""The journey of one delivery to a place with a liar between, and what must hold after each of its attempts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from gridhaul.transfer.errors import (
    ObjectExists,
    OutcomeUnknown,
    TargetFull,
    TargetInconsistent,
    TargetLocked,
    TargetMismatch,
    TargetRefused,
    TargetUnavailable,
)
from gridhaul.transfer.model import Delivery, Evidence, IfExists
from gridhaul.transfer.ports.targets import Probed
from gridhaul.transfer.states import DELIVERY_MOVES, Action, DeliveryState
from tasks.delivering.known_targets import KnownTargets
from tests.contracts.lies import DELIVERED, NAME, THEIR_DATA, THEIRS, Hindrance
from tests.contracts.memory_seen_targets import MemorySeenTargets
from tests.contracts.ports import eventually
from tests.targets.outside import Bucket
from tests.targets.place import TARGET, Place
from tests.tasks.delivery_bench import Bench

ATTEMPTS = 4
DAY_SECONDS = 86_400.0
STATE_AFTER = {
    error.code: DeliveryState.QUEUED if error.retryable else DeliveryState.FAILED
    for error in (
        *(TargetUnavailable, TargetInconsistent, TargetLocked, TargetFull),
        *(TargetRefused, TargetMismatch, ObjectExists, OutcomeUnknown),
    )
}


@dataclass(frozen=True, kw_only=True)
class Journey:
    """One delivery to a place where somebody else has an object, and an upload that is not ended."""

    bench: Bench
    place: Place
    met: Hindrance
    their_uploads: list[str]

    async def meet(self) -> Delivery:
        """Deliver until the hindrance is met. Require the error that it must have.

        Another attempt follows exactly if it can cure the error.
        """
        policy = IfExists.OVERWRITE if self.met.replaces else IfExists.FAIL
        delivery = await self.bench.open(self.met.data, TARGET, if_exists=policy)
        for _ in range(self.met.attempts):
            delivery = await self._attempt(delivery)
        if self.met.ends == DELIVERED:
            assert delivery.receipt is not None, delivery.error
            assert self.met.sends in (None, delivery.receipt.sent_in_attempts[-1])
            return delivery
        assert delivery.error is not None
        assert (delivery.error.code, delivery.state) == (self.met.ends, STATE_AFTER[self.met.ends]), delivery.error
        assert self.met.says in delivery.error.detail, delivery.error
        return delivery

    async def end(self, delivery: Delivery) -> None:
        """Let the same delivery end without the hindrance. Require its receipt, and that nothing else is left."""
        if delivery.state is DeliveryState.FAILED:
            await self.bench.deliveries.move(delivery.id, DELIVERY_MOVES[Action.RETRY])
        for _ in range(ATTEMPTS):
            if delivery.state is not DeliveryState.DELIVERED:
                delivery = await self._attempt(delivery)
        self._require_receipt(delivery)
        await self._require_one_object(delivery)

    async def _attempt(self, delivery: Delivery) -> Delivery:
        """Make one attempt. After each, what has the name is right or was there before, and theirs is untouched."""
        delivery = await self.bench.attempt(delivery)
        before = THEIR_DATA if self.met.replaces else None
        allowed = [self.met.data] if delivery.state is DeliveryState.DELIVERED else [self.met.data, before]
        assert self.place.outside.read(NAME) in allowed
        assert self.place.outside.read(THEIRS) == THEIR_DATA
        return delivery

    def _require_receipt(self, delivery: Delivery) -> None:
        """Require no better evidence than reading back, unless the server tells digests that it was seen to compare."""
        assert delivery.receipt is not None, delivery.error
        usual = {Evidence.READ_BACK, self.place.traits.evidence, self.place.traits.proof}
        assert delivery.receipt.evidence in ({self.met.evidence} if self.met.evidence else usual)

    async def _require_one_object(self, delivery: Delivery) -> None:
        """Require that nothing is left but the object, and what is not ours."""

        async def is_clean() -> bool:
            self.bench.row.next_attempt_at = 0.0
            now = await self.bench.clean(delivery)
            return (now.stage, now.leftovers, now.cleaning_error) == (None, (), None)

        if delivery.leftovers or delivery.stage is not None:
            await eventually(is_clean)
        assert self.place.outside.names() == {NAME, THEIRS}
        left = [NAME] if self.met.leaves_upload else []
        assert _uploads(self.place) == [*left, *self.their_uploads]


def journey(bench: Bench, place: Place, met: Hindrance) -> Journey:
    """Return the journey to the place, where the objects of somebody else are from now on."""
    outside = place.outside
    outside.write(THEIRS, THEIR_DATA)
    if isinstance(outside, Bucket):
        outside.begin_upload(THEIRS)
    if met.replaces:
        outside.write(NAME, THEIR_DATA)
    return Journey(bench=bench, place=place, met=met, their_uploads=_uploads(place))


def _uploads(place: Place) -> list[str]:
    """Return the names of the uploads that are not ended. Only S3 has uploads."""
    return place.outside.uploads() if isinstance(place.outside, Bucket) else []


@asynccontextmanager
async def configured(bench: Bench, place: Place, *, probed: bool) -> AsyncIterator[None]:
    """Let the bench deliver to the place, as a new process does. If it is `probed`, its server's facts are known."""
    seen = MemorySeenTargets()
    async with place.targets() as targets:
        target = targets.get(TARGET)
        if probed and isinstance(target, Probed):
            facts, abilities = await place.rely(target), target.abilities
            await seen.note(target.fingerprint, target.name, facts, abilities=abilities, last_seconds=DAY_SECONDS)
        bench.runtime = replace(bench.runtime, targets=KnownTargets(targets, seen))
        yield

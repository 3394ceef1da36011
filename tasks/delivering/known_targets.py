"""The targets as journeys use them: each with the facts that a probe saw of it, which all workers share."""

import time
from typing import Any

from gridhaul.transfer.model import Delivery, Stage
from gridhaul.transfer.naming import is_scratch, scratch_name
from gridhaul.transfer.ports.deliveries import DeliverableRecords
from gridhaul.transfer.ports.targets import BeforeWriting, Probed, SeenTargets, Staging, Target, Targets
from tasks.attempt import Tenure

FACTS_SECONDS = 30.0  # how long a process relies on facts before it reads them from the database again


class KnownTargets:
    """The configured targets. A target with the ability `Probed` relies on the facts in the database."""

    def __init__(self, targets: Targets, seen: SeenTargets) -> None:
        self._targets = targets
        self._seen = seen
        self._reading_due: dict[str, float] = {}  # by name: the monotonic time to read the facts again
        self._never_seen: set[str] = set()  # names of targets of which the database has no facts
        self._probe_due: dict[str, float] = {}  # by name: the monotonic time from which a probe is due

    async def get(self, name: str) -> Target:
        """Return the target. Raises TargetUnknown, DatabaseUnavailable."""
        target = self._targets.get(name)
        if isinstance(target, Probed) and time.monotonic() >= self._reading_due.get(target.name, 0.0):
            await self._read(target)
        return target

    async def probe_if_due(
        self, target: Target, delivery: Delivery, deliveries: DeliverableRecords, tenure: Tenure
    ) -> None:
        """Probe the target if it was never probed, or if its facts are too old for a delivery to begin.

        From its first write on, the probe's scratch is among the delivery's leftovers until the probe has succeeded.
        Raises what the probe raises, LeaseLost, DatabaseUnavailable.
        """
        if not isinstance(target, Probed) or not await self._is_due(target):
            return
        scratch = scratch_name(delivery.lease)

        async def before_writing() -> None:
            await deliveries.renew(delivery.lease, leftovers=(*delivery.leftovers, scratch))
            tenure.check()

        await self.probe(target, scratch, before_writing)
        await deliveries.renew(delivery.lease, leftovers=delivery.leftovers)

    async def probe(self, target: Probed, scratch: str, before_writing: BeforeWriting) -> None:
        """Probe the target, keep what was seen for all workers, and rely on it.

        Raises what the probe raises, and DatabaseUnavailable.
        """
        await self._read(target)  # a directory that was seen must be the same disk
        facts = await target.probe(scratch, before_writing)
        await before_writing()  # a worker that stood still must not note what it saw before others saw more
        self._reading_due[target.name] = 0.0  # if noting fails, the facts are read again before anything is done
        target.rely_on(facts)
        noted: dict[str, Any] = {"abilities": target.abilities, "last_seconds": target.facts_last_seconds}
        if target.name in self._never_seen:  # of two workers that see a target first, one decides which disk it is
            target.rely_on(await self._seen.note_first(target.fingerprint, target.name, facts, **noted))
        else:
            await self._seen.note(target.fingerprint, target.name, facts, **noted)
        self._reading_due[target.name] = time.monotonic() + FACTS_SECONDS
        target.facts_outdated = False
        self._note_age(target, 0.0)

    async def is_ready(self, target: Target) -> bool:
        """Return whether a delivery may begin without a probe. Raises DatabaseUnavailable."""
        return not isinstance(target, Probed) or not await self._is_due(target)

    async def outdate_if_refuted(self, target: Target) -> None:
        """Let all workers probe the target again if it did what its facts exclude. They notice within 30 s."""
        if isinstance(target, Probed) and target.facts_outdated:
            await self._seen.outdate(target.fingerprint)

    async def _is_due(self, target: Probed) -> bool:
        if target.facts_outdated:
            return True
        if time.monotonic() >= self._probe_due[target.name]:
            await self._read(target)  # another worker may have probed the target since
        return time.monotonic() >= self._probe_due[target.name]

    async def _read(self, target: Probed) -> None:
        seen = await self._seen.find(target.fingerprint)
        usable = target.rely_on({} if seen is None else seen.facts)
        self._reading_due[target.name] = time.monotonic() + FACTS_SECONDS
        if seen is not None:
            self._never_seen.discard(target.name)
        if seen is not None and usable:
            self._note_age(target, seen.age_seconds)
            return
        self._probe_due[target.name] = 0.0
        if seen is None:
            self._never_seen.add(target.name)

    def _note_age(self, target: Probed, age_seconds: float) -> None:
        self._never_seen.discard(target.name)
        self._probe_due[target.name] = time.monotonic() + target.facts_last_seconds - max(age_seconds, 0.0)


async def remove_leftover(target: Target, name: str, stage: Stage | None) -> None:
    """Remove what a delivery left under a temporary name: its stage, all that its probe left, or an object."""
    if stage is not None and stage.name == name and isinstance(target, Staging):
        await target.abandon(stage)
    elif is_scratch(name) and isinstance(target, Probed):
        await target.clear(name)
    else:
        await target.remove(name)

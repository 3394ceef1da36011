"""The targets as journeys use them: each with the facts that a probe saw of it, which all workers share."""

import time

from gridhaul.transfer.model import Delivery
from gridhaul.transfer.naming import probe_name
from gridhaul.transfer.ports.deliveries import DeliverableRecords
from gridhaul.transfer.ports.targets import Probed, SeenTargets, Target, Targets
from tasks.attempt import Tenure

FACTS_SECONDS = 30.0  # how long a process relies on facts before it reads them from the database again


class KnownTargets:
    """The configured targets. A target with the ability `Probed` relies on the facts in the database."""

    def __init__(self, targets: Targets, seen: SeenTargets) -> None:
        self._targets = targets
        self._seen = seen
        self._reading_due: dict[str, float] = {}  # by name: the monotonic time to read the facts again
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

        The names that the probe writes are among the delivery's leftovers while it runs.
        Raises what the probe raises, LeaseLost, DatabaseUnavailable.
        """
        if not isinstance(target, Probed) or not await self._is_due(target):
            return
        scratch = probe_name(delivery.lease)
        left = (*delivery.leftovers, *target.scratch_names(scratch))
        await deliveries.renew(delivery.lease, leftovers=left)
        tenure.check()
        facts = await target.probe(scratch)
        await deliveries.renew(delivery.lease, leftovers=delivery.leftovers)
        if target.facts_last_seconds is None:
            facts = await self._seen.note_first(target.fingerprint, target.name, facts)
        else:
            await self._seen.note(target.fingerprint, target.name, facts)
        target.rely_on(facts)
        target.facts_outdated = False
        self._note_age(target, 0.0)

    async def _is_due(self, target: Probed) -> bool:
        if target.facts_outdated:
            return True
        if time.monotonic() >= self._probe_due[target.name]:
            await self._read(target)  # another worker may have probed the target since
        return time.monotonic() >= self._probe_due[target.name]

    async def _read(self, target: Probed) -> None:
        seen = await self._seen.find(target.fingerprint)
        target.rely_on({} if seen is None else seen.facts)
        self._reading_due[target.name] = time.monotonic() + FACTS_SECONDS
        if seen is None:
            self._probe_due[target.name] = 0.0
        else:
            self._note_age(target, seen.age_seconds)

    def _note_age(self, target: Probed, age_seconds: float) -> None:
        last = target.facts_last_seconds
        self._probe_due[target.name] = float("inf") if last is None else time.monotonic() + last - age_seconds

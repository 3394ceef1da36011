"""The configured targets as the api knows them, and what workers have seen of them."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from gridhaul.transfer.access import Caller
from gridhaul.transfer.batches import BatchTarget
from gridhaul.transfer.errors import TargetNotExclusive
from gridhaul.transfer.known_targets import NEEDS_EXCLUSIVE, TargetDefinition, TargetRecord
from gridhaul.transfer.model import Destination
from gridhaul.transfer.ports.targets import TargetRegistry

FRESH_SECONDS = 2.0  # how long abilities are not read again for requests that ask for deliveries


class ConfiguredTargets:
    """The targets of the targets file. Their credentials are only known to workers."""

    def __init__(
        self,
        definitions: Sequence[TargetDefinition],
        registry: TargetRegistry,
        *,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        self._definitions = {definition.name: definition for definition in definitions}
        self._registry = registry
        self._fresh_seconds = fresh_seconds
        self._one_at_a_time = asyncio.Lock()
        self._read_due = 0.0  # the monotonic time to read the records again
        self._records: Mapping[str, TargetRecord] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._definitions

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __getitem__(self, name: str) -> TargetDefinition:
        return self._definitions[name]

    async def configure(self) -> None:
        """Make the records of the targets, if they are missing. Raises DatabaseUnavailable."""
        await self._registry.configure(tuple(self._definitions.values()))

    def of(self, caller: Caller) -> list[TargetDefinition]:
        """Return the targets that the caller may use, in the order of their names."""
        return [one for name, one in sorted(self._definitions.items()) if caller.sees_target(name)]

    async def records(self, targets: Iterable[TargetDefinition]) -> Mapping[str, TargetRecord]:
        """Return what is known of the targets now, by their fingerprints. Raises DatabaseUnavailable."""
        return await self._registry.of({target.fingerprint for target in targets})

    async def test(self, name: str) -> TargetRecord:
        """Make a probe of the target due now, and return its record. Raises DatabaseUnavailable."""
        return await self._registry.test(self._definitions[name])

    async def require_possible(self, wanted: Iterable[Destination | BatchTarget]) -> None:
        """Check that each target can keep the policy that is asked of it, as far as that was seen lately.

        A target that was not seen yet is judged by the worker. Raises TargetNotExclusive, DatabaseUnavailable.
        """
        for one in wanted:
            target = self._definitions[one.target]
            if one.if_exists not in NEEDS_EXCLUSIVE or target.allow_overwrite_race is not False:
                continue
            record = (await self._recent()).get(target.fingerprint)
            abilities = record.abilities_at(datetime.now(UTC)) if record else None
            if abilities is not None and not abilities.exclusive:
                raise TargetNotExclusive(target.name)

    async def _recent(self) -> Mapping[str, TargetRecord]:
        async with self._one_at_a_time:
            if time.monotonic() >= self._read_due:
                self._records = await self.records(self._definitions.values())
                self._read_due = time.monotonic() + self._fresh_seconds
            return self._records

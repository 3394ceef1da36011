"""A memory twin of what was seen of targets."""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.known_targets import (
    RETIRE_TARGET,
    TEST_TARGET,
    TargetDefinition,
    TargetRecord,
    TargetState,
    target_id,
)
from gridhaul.transfer.model import Lease, Queue, RecordId, SeenTarget
from gridhaul.transfer.ports.targets import Facts, ProbedTargets, TargetRegistry
from tests.contracts.memory_registry import MemoryRecords, Row, wall_clock

NEVER_CHANGED = ("rate",)  # fields that other records have


class MemorySeenTargets(MemoryRecords[TargetRecord, TargetState]):
    """A twin of `SeenTargets`, `ProbedTargets` and `TargetRegistry` of `transfer.ports.targets`."""

    waiting = frozenset({TargetState.WAITING})

    def __init__(self, *, lease_seconds: float = 60.0) -> None:
        super().__init__(lease_seconds=lease_seconds)

    async def find(self, fingerprint: str) -> SeenTarget | None:
        row = self.rows.get(target_id(fingerprint))
        if row is None or row.record.facts is None or row.record.seen_at is None:
            return None
        age = (wall_clock() - row.record.seen_at).total_seconds()
        return SeenTarget(facts=row.record.facts, age_seconds=math.inf if row.record.outdated else age)

    async def note_first(
        self, fingerprint: str, name: str, facts: Facts, *, abilities: Abilities, last_seconds: float
    ) -> Facts:
        kept = self._row(fingerprint, name).record.facts
        if kept is not None:
            return kept
        await self.note(fingerprint, name, facts, abilities=abilities, last_seconds=last_seconds)
        return facts

    async def note(
        self, fingerprint: str, name: str, facts: Facts, *, abilities: Abilities, last_seconds: float
    ) -> None:
        row, now = self._row(fingerprint, name), wall_clock()
        seen = {"facts": dict(facts), "abilities": abilities, "seen_at": now, "outdated": False, "name": name}
        self._change(row, {**seen, "fresh_until": now + timedelta(seconds=last_seconds)})
        if self._is_free(row):
            self._change(row, {"error": None, "wait": None, "fruitless_attempts": 0})
            row.hint_at, row.hinted_at = time.monotonic() + last_seconds, None
            row.attempt_at(row.hint_at)

    async def outdate(self, fingerprint: str) -> None:
        row = self.rows.get(target_id(fingerprint))
        if row is not None and row.record.state is not TargetState.RETIRED:
            self._change(row, {"outdated": True})
            self._owe_now(row)

    async def claim(
        self, record_id: RecordId, *, holder: str, from_states: frozenset[TargetState], to_state: TargetState
    ) -> TargetRecord | None:
        row = self.rows.get(record_id)
        error = row.record.error if row else None
        claimed = await super().claim(record_id, holder=holder, from_states=from_states, to_state=to_state)
        if row is None or claimed is None:
            return None
        self._change(row, {"error": error})
        return row.record

    async def release(self, lease: Lease, to_state: TargetState, *, delay_seconds: float, **changes: object) -> None:
        await super().release(lease, to_state, delay_seconds=delay_seconds, **changes)
        if "error" in changes:
            self._change(self.rows[lease.record_id], {"tried_at": wall_clock()})

    async def configure(self, targets: Sequence[TargetDefinition]) -> None:
        for target in targets:
            row = self._row(target.fingerprint, target.name)
            self._change(row, {"name": target.name})
            if row.record.state is TargetState.RETIRED:
                self._change(row, {"state": TargetState.WAITING, "tried_at": None})
                self._owe_now(row)
        for record_id in self.rows.keys() - {target_id(target.fingerprint) for target in targets}:
            await self.move(record_id, RETIRE_TARGET)

    async def of(self, fingerprints: Collection[str]) -> Mapping[str, TargetRecord]:
        rows = {fingerprint: self.rows.get(target_id(fingerprint)) for fingerprint in fingerprints}
        return {fingerprint: row.record for fingerprint, row in rows.items() if row is not None}

    async def test(self, target: TargetDefinition) -> TargetRecord:
        row = self._row(target.fingerprint, target.name)
        await self.move(row.record.id, TEST_TARGET, tried_at=None)
        return row.record

    def _row(self, fingerprint: str, name: str) -> Row[TargetRecord]:
        """Return the target's row, which is made, due now, if it is missing."""
        record_id, now = target_id(fingerprint), wall_clock()
        if record_id not in self.rows:
            record = TargetRecord(
                id=record_id,
                fingerprint=fingerprint,
                name=name,
                state=TargetState.WAITING,
                queue=Queue.MAINTENANCE,
                created_at=now,
                updated_at=now,
            )
            self.rows[record_id] = Row(record=record)
            self._owe_now(self.rows[record_id])
        return self.rows[record_id]

    def _is_free(self, row: Row[TargetRecord]) -> bool:
        record, leased = row.record, (row.lease_until or 0.0) > time.monotonic()
        at_rest = record.state is TargetState.RETIRED
        return not at_rest and not leased and record.scratch is None and record.tried_at is not None

    def _owe_now(self, row: Row[TargetRecord]) -> None:
        now = time.monotonic()
        row.attempt_at(now)
        row.hint_at, row.hinted_at = max(now, row.lease_until or 0.0), None

    def _change(self, row: Row[TargetRecord], changes: Mapping[str, Any], *, who: str | None = None) -> None:
        own = {name: value for name, value in changes.items() if name not in NEVER_CHANGED}
        super()._change(row, own, who=who)


def _check(seen: MemorySeenTargets) -> None:
    """Let the type checker see that the twin has the methods of its ports."""
    _: tuple[ProbedTargets, TargetRegistry] = (seen, seen)

"""The configured targets, and the records of what was seen of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.model import Failure, IfExists, Lease, Queue, RecordId, Wait
from gridhaul.transfer.states import Move

# The policies that a target must keep which never replaces an object that takes the name in the last moment.
NEEDS_EXCLUSIVE = frozenset({IfExists.FAIL, IfExists.RENAME})


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetDefinition:
    """The parts of a target's configuration that are no secret."""

    name: str
    kind: str
    fingerprint: str  # of the parts that decide what a probe sees
    allow_overwrite_race: bool | None  # None: the kind writes straight to the final name, and has no such setting


class TargetState(StrEnum):
    WAITING = "WAITING"  # for its next probe
    PROBING = "PROBING"
    RETIRED = "RETIRED"  # no target has this configuration any more


PROBEABLE = frozenset({TargetState.WAITING, TargetState.PROBING})
# A probe that runs is stopped, because it may have looked before the cause of a trouble was mended.
TEST_TARGET = Move(from_states=frozenset(TargetState), to_state=TargetState.WAITING, done_in=frozenset())
RETIRE_TARGET = Move(from_states=PROBEABLE, to_state=TargetState.RETIRED, done_in=frozenset({TargetState.RETIRED}))


def target_id(fingerprint: str) -> RecordId:
    """Return the id of the record of the targets that have this fingerprint."""
    return RecordId(fingerprint[:24])


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetRecord:
    """The facts that were seen of the targets with one fingerprint, and the probes of them."""

    id: RecordId  # follows from the fingerprint
    fingerprint: str
    name: str  # of one of the targets, by which a worker finds it
    state: TargetState
    queue: Queue  # always MAINTENANCE
    created_at: datetime
    updated_at: datetime
    facts: Mapping[str, Any] | None = None  # `transfer.ports.targets.Facts`; None: no probe has succeeded yet
    abilities: Abilities | None = None  # as the facts tell; None: there are no facts, or they are older than abilities
    seen_at: datetime | None = None  # when a probe succeeded last
    fresh_until: datetime | None = None  # when the facts are too old to begin a delivery
    outdated: bool = False  # True: the target did what its facts exclude
    scratch: str | None = None  # the beginning of names that a probe may have left at the target; None: it left none
    tried_at: datetime | None = None  # when the last probe by schedule or by request ended; None: it is still to come
    attempts: int = 0  # claims by workers
    fruitless_attempts: int = 0  # consecutive probes that failed
    error: Failure | None = None  # why the last probe failed; None: it succeeded, or is still to come
    wait: Wait | None = None  # as in `File`
    next_attempt_at: datetime | None = None  # when the next probe is due; None: no probe is planned
    fence: int = 0  # grows by one with each claim, and with each request for a probe

    @property
    def lease(self) -> Lease:
        return Lease(record_id=self.id, fence=self.fence)

    def abilities_at(self, moment: datetime) -> Abilities | None:
        """Return the abilities if a delivery may begin at this moment without another probe; None otherwise."""
        fresh = self.fresh_until is not None and moment < self.fresh_until and not self.outdated
        return self.abilities if fresh else None

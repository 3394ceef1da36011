"""Attempts to probe a target: none of them is the last one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gridhaul.transfer.known_targets import TargetState
from gridhaul.transfer.model import Lease
from tasks.attempt import Attempts

REFUSED_SECONDS = 3600.0  # the pause after an error that only a person can mend; a request for a probe ends it


@dataclass(frozen=True, kw_only=True, slots=True)
class Probes(Attempts[TargetState]):
    """Attempts to probe a target. None is the last one."""

    async def _give_up(self, lease: Lease, changes: Mapping[str, Any]) -> None:
        await self.records.release(lease, self.waiting, delay_seconds=REFUSED_SECONDS, **changes)

"""The protocol of a check's stages, and the way in which they settle findings."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from gridhaul.transfer.checks import Check, Cursor, Mode
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError
from gridhaul.transfer.findings import Finding, Outcome
from gridhaul.transfer.model import File
from tasks.attempt import Meter
from tasks.checking.tally import Tally

# A repair. It returns False if nothing is wrong any more, and raises GridhaulError if it cannot be done.
Mend = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """One slice of one check."""

    check: Check
    file: File | None  # the only file to look at; None: everything
    tally: Tally
    meter: Meter

    async def settle(self, finding: Finding, mend: Mend, *, can_mend: Mend | None = None) -> None:
        """Count the finding with its outcome: report it, or repair it with `mend`, as the check's mode says.

        A dry run calls `can_mend` instead of `mend`; without `can_mend` it takes the repair for possible. A finding is
        not counted if the call returns False. Raises DatabaseUnavailable.
        """
        if self.check.mode is Mode.REPORT:
            self.tally.found(finding)
        elif self.check.mode is Mode.DRY_RUN:
            await self._try(finding, can_mend or _always, Outcome.WOULD_REPAIR)
        else:
            await self._try(finding, mend, Outcome.REPAIRED)

    def give_up(self, finding: Finding, why_not: str) -> None:
        """Count a finding that cannot be repaired, with the reason `why_not`."""
        outcome = Outcome.FOUND if self.check.mode is Mode.REPORT else Outcome.NOT_REPAIRED
        self.tally.found(replace(finding, outcome=outcome, why_not=why_not))

    async def _try(self, finding: Finding, mend: Mend, outcome: Outcome) -> None:
        try:
            still_wrong = await mend()
        except DatabaseUnavailable:
            raise
        except GridhaulError as error:
            self.give_up(finding, error.detail)
        else:
            if still_wrong:
                self.tally.found(replace(finding, outcome=outcome))


class Examiner(Protocol):
    """A stage of a check. Its steps are short; a step that was interrupted is done again."""

    async def look(self, cursor: Cursor) -> Cursor | None:
        """Do the next step. Return the cursor of the step after it, or None at the end of the stage."""


async def _always() -> bool:
    return True

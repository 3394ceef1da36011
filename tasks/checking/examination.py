"""What every stage of a check is given, and what a stage is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from gridhaul.transfer.checks import Check, Cursor, Mode
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError
from gridhaul.transfer.findings import Finding, Outcome
from gridhaul.transfer.model import File
from tasks.checking.tally import Tally

Mend = Callable[[], Awaitable[bool]]  # False: it is not wrong any more. Raises GridhaulError if it cannot be done


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """One slice of one check."""

    check: Check
    file: File | None  # the only one that is looked at, if there is one
    tally: Tally

    async def settle(self, finding: Finding, mend: Mend, *, can_mend: Mend | None = None) -> None:
        """Count the finding, after what the check's mode wants done about it."""
        if self.check.mode is Mode.REPORT:
            self.tally.found(finding)
        elif self.check.mode is Mode.DRY_RUN:
            await self._try(finding, can_mend or _surely, Outcome.WOULD_REPAIR)
        else:
            await self._try(finding, mend, Outcome.REPAIRED)

    def give_up(self, finding: Finding, why_not: str) -> None:
        """Count a finding that no repair helps."""
        outcome = Outcome.FOUND if self.check.mode is Mode.REPORT else Outcome.NOT_REPAIRED
        self.tally.found(replace(finding, outcome=outcome, why_not=why_not))

    async def _try(self, finding: Finding, mend: Mend, outcome: Outcome) -> None:
        try:
            wrong_still = await mend()
        except DatabaseUnavailable:
            raise
        except GridhaulError as error:
            self.give_up(finding, error.detail)
        else:
            if wrong_still:
                self.tally.found(replace(finding, outcome=outcome))


class Examiner(Protocol):
    """A stage of a check. Steps are short, and each may be repeated after it was cut short."""

    async def look(self, cursor: Cursor) -> Cursor | None:
        """Do the next step: where to go on, None at the end of the stage."""


async def _surely() -> bool:
    return True

"""The progress of a check: its cursor, findings and counts, as fields of its record."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from gridhaul.transfer.checks import FINDINGS_KEPT, Check, Cursor
from gridhaul.transfer.findings import Finding, Outcome
from tasks.attempt import AFTER_PROGRESS, Meter

log = structlog.get_logger(__name__)


@dataclass(kw_only=True, slots=True)
class ObjectCounts:
    """The number of deliveries whose objects were looked for at targets. The fields mean what they mean in `Check`."""

    checked: int = 0
    unread: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


class Tally:
    """The progress of a check. Cursor and findings are written together, so neither is ahead of the other."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self.cursor: Cursor | None = check.cursor or Cursor(stage=check.stages[0])  # None: the check is done
        self.total_bytes = check.total_bytes
        self.total_contents = check.total_contents
        self.checked_bytes = check.checked_bytes
        self._checked_contents = check.checked_contents
        self._findings = list(check.findings)
        self._places = {_key(finding): at for at, finding in enumerate(self._findings)}
        self._counts = Counter(check.counts or {})
        self._checked_objects = check.checked_objects
        self._unread_objects = check.unread_objects
        self._skipped_objects = Counter(check.skipped_objects or {})
        self._target_bytes = check.target_bytes
        self._repaired = check.repaired
        self._source_bytes = check.source_bytes
        self._sent_bytes = check.sent_bytes

    def move_on(self, cursor: Cursor | None) -> None:
        """Note that a step is done. The next step begins at `cursor`; None means the start of the next stage."""
        assert self.cursor is not None, "a check that is done takes no step"  # noqa: S101
        self.cursor = cursor or self._next_stage(self.cursor)

    def found(self, finding: Finding) -> None:
        """Count a finding. A finding that an interrupted step finds again replaces the first one."""
        log.warning("finding", check_id=self._check.id, **_logged(finding))
        again = self._places.get(_key(finding))
        if again is not None:
            self._repaired -= self._findings[again].outcome is Outcome.REPAIRED
            self._findings[again] = finding
        else:
            self._counts[finding.code.value] += 1
            if len(self._findings) < FINDINGS_KEPT:
                self._places[_key(finding)] = len(self._findings)
                self._findings.append(finding)
        self._repaired += finding.outcome is Outcome.REPAIRED

    def checked(self, length_bytes: int) -> None:
        self.checked_bytes += length_bytes

    def content_done(self) -> None:
        self._checked_contents += 1

    def objects_done(self, counts: ObjectCounts, *, read_bytes: int) -> None:
        """Count the objects of a whole step. The step ends with this call, so an interrupted step counts none."""
        self._checked_objects += counts.checked
        self._unread_objects += counts.unread
        self._skipped_objects += counts.skipped
        self._target_bytes += read_bytes

    def read(self, length_bytes: int) -> None:
        """Count bytes that were read from a source."""
        self._source_bytes += length_bytes

    def sent(self, length_bytes: int) -> None:
        """Count bytes that were sent to the chunk service."""
        self._sent_bytes += length_bytes

    def fields(self, meter: Meter) -> dict[str, Any]:
        """Return the record's fields as they are now."""
        return {
            "cursor": self.cursor,
            "total_bytes": self.total_bytes,
            "total_contents": self.total_contents,
            "checked_bytes": self.checked_bytes,
            "checked_contents": self._checked_contents,
            "checked_objects": self._checked_objects,
            "unread_objects": self._unread_objects,
            "skipped_objects": dict(self._skipped_objects),
            "target_bytes": self._target_bytes,
            "reading_bytes": meter.checked,
            "findings": tuple(self._findings),
            "counts": dict(self._counts),
            "found": self._counts.total(),
            "repaired": self._repaired,
            "source_bytes": self._source_bytes,
            "sent_bytes": self._sent_bytes,
            **(AFTER_PROGRESS if self.cursor != self._check.cursor else {}),
        }

    def _next_stage(self, cursor: Cursor) -> Cursor | None:
        stages = self._check.stages
        following = stages[stages.index(cursor.stage) + 1 :]
        return Cursor(stage=following[0]) if following else None


def _key(finding: Finding) -> Finding:
    """Return the finding without detail and outcome: the same fault at the same place gives an equal key."""
    return replace(finding, detail="", outcome=Outcome.FOUND, why_not=None)


def _logged(finding: Finding) -> dict[str, object]:
    names = ("content_id", "file_id", "delivery_id", "n", "target")
    where = {name: getattr(finding, name) for name in names}
    known = {name: value for name, value in where.items() if value is not None}
    return {"code": finding.code.value, "outcome": finding.outcome.value, **known}

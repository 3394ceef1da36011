"""A memory twin of the checks over a plain dict, leased like other records."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gridhaul.transfer.checks import RUNNABLE, Check, CheckKind, CheckState, NewCheck
from gridhaul.transfer.model import Lease, Queue, RecordId
from gridhaul.transfer.ports.checking import CheckRegistry, RunnableChecks
from tests.contracts.memory_registry import MemoryRecords, new_id, waiting_row


class MemoryChecks(MemoryRecords[Check, CheckState]):
    """A twin of `transfer.ports.checking.CheckRegistry` and `RunnableChecks`."""

    waiting: frozenset[Any] = frozenset()

    def __init__(self, *, lease_seconds: float) -> None:
        super().__init__(lease_seconds=lease_seconds)
        self._keys: dict[RecordId, str] = {}

    async def open(self, new: NewCheck) -> tuple[Check, bool]:
        for row in self.rows.values():
            if row.record.state in RUNNABLE and self._keys[row.record.id] == new.key:
                return row.record, False
        now = datetime.now(UTC)
        check = Check(
            id=new_id(),
            kind=new.kind,
            mode=new.mode,
            file_id=new.file_id,
            read_targets=new.read_targets,
            bytes_per_second=new.bytes_per_second,
            state=CheckState.QUEUED,
            queue=Queue.MAINTENANCE,
            created_at=now,
            updated_at=now,
        )
        self.rows[check.id] = waiting_row(check)
        self._keys[check.id] = new.key
        return check, True

    async def page(
        self,
        *,
        limit: int,
        before: RecordId | None,
        kind: CheckKind | None = None,
        file_id: RecordId | None = None,
    ) -> Sequence[Check]:
        wanted = [
            check
            for check in self._newest_first()
            if (before is None or check.id < before) and kind in (None, check.kind) and file_id in (None, check.file_id)
        ]
        return [replace(check, findings=()) for check in wanted[:limit]]

    async def newest_about(
        self, *, file_id: RecordId, content_id: RecordId, sealed_at: datetime | None
    ) -> Check | None:
        for check in self._newest_first():
            of_file = check.file_id == file_id and (sealed_at is None or check.created_at >= sealed_at)
            if of_file or any(finding.content_id == content_id for finding in check.findings):
                return check
        return None

    def _newest_first(self) -> list[Check]:
        return sorted((row.record for row in self.rows.values()), key=lambda check: check.id, reverse=True)

    async def pause(self, lease: Lease, **changes: object) -> None:
        row = self._leased(lease)
        self._change(row, changes)
        row.lease_until = row.hint_at = None
        row.next_attempt_at = row.hinted_at = time.monotonic()


def _check(checks: MemoryChecks) -> None:
    """Let the type checker see that the twin has the methods of its ports."""
    _: tuple[CheckRegistry, RunnableChecks] = (checks, checks)

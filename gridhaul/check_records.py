"""Checks as the api shows them, and how to order one."""

from dataclasses import dataclass
from typing import TypedDict

from gridhaul.transfer.checks import CheckKind, Mode

CHECK_OVER = frozenset({"DONE", "FAILED", "CANCELLED"})


class FindingRecord(TypedDict):
    code: str
    detail: str
    content_id: str | None
    file_id: str | None
    delivery_id: str | None
    n: int | None
    target: str | None
    name: str | None
    outcome: str
    why_not: str | None


class CheckFailure(TypedDict):
    code: str
    detail: str


class CheckRecord(TypedDict):
    """A check as the api shows it; see `GET /checks/{check_id}`."""

    check_id: str
    kind: str
    mode: str
    file_id: str | None
    state: str
    stage: str | None
    checked_bytes: int
    total_bytes: int | None
    checked_contents: int
    total_contents: int | None
    rate: float | None
    found: int
    repaired: int
    counts: dict[str, int]
    findings: list[FindingRecord]
    source_bytes: int
    sent_bytes: int
    error: CheckFailure | None
    created_at: str
    updated_at: str
    links: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOrder:
    """What to check. `record_id` is that of a file or of a delivery; without it everything is."""

    kind: CheckKind
    mode: Mode
    record_id: str | None = None
    read_targets: bool = False
    bytes_per_second: int | None = None

"""The phases of a delivery, as the lines of its log tell them."""

from pathlib import Path

import pytest

from bench import phases
from bench.errors import TransferFailed
from bench.phases import Phases, phases_of

DELIVERY = "a" * 24
LINE = '{{"record_id": "{}", "event": "{}", "evidence": "read-back", "timestamp": "2026-11-29T20:00:{:09.6f}Z"}}\n'


def line(event: str, second: float, *, delivery_id: str = DELIVERY) -> str:
    return LINE.format(delivery_id, event, second)


def found(tmp_path: Path, *lines: str) -> Phases:
    log = tmp_path / "worker.log"
    log.write_text("".join(lines))
    return phases.wait_for_phases([log], DELIVERY)


def test_check_before_the_commit_is_apart(tmp_path: Path) -> None:
    steps = ("stage_begins", 1), ("stage_written", 5), ("object_checked", 7.5), ("stage_committed", 8)
    read = found(tmp_path, *(line(*step) for step in steps), line("attempt_done", 9))
    assert read == Phases(sending_seconds=4.5, checking_seconds=2.5, evidence="read-back")


def test_check_after_the_commit_is_apart(tmp_path: Path) -> None:
    steps = ("stage_begins", 1), ("stage_written", 5), ("stage_committed", 5.5), ("object_checked", 7.5)
    read = found(tmp_path, *(line(*step) for step in steps), line("attempt_done", 9))
    assert read == Phases(sending_seconds=4.5, checking_seconds=2, evidence="read-back")


def test_lines_of_others_and_broken_lines_do_not_count(tmp_path: Path) -> None:
    steps = ("stage_begins", 1), ("stage_written", 2), ("object_checked", 3), ("stage_committed", 4)
    others = line("stage_begins", 0, delivery_id="b" * 24), f"[celery] Task {DELIVERY} received\n"
    read = found(
        tmp_path, *others, *(line(*step) for step in steps), line("attempt_done", 5), '{"record_id": "' + DELIVERY
    )
    assert read.sending_seconds == 2


def test_delivery_of_two_attempts_is_refused() -> None:
    steps = ("stage_begins", "stage_begins", "stage_written", "object_checked", "stage_committed")
    with pytest.raises(TransferFailed, match="stage_begins', 'stage_begins"):
        phases_of([{"event": step, "timestamp": "2026-11-29T20:00:00Z", "evidence": "size"} for step in steps])

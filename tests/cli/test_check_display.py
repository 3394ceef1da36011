"""The display of a running check, on terminals of every width and in logs."""

import io
from typing import Any, cast

import pytest
from rich.cells import cell_len
from rich.console import Console

from gridhaul.cli.check_display import CheckBar, CheckLines, ComparingRate
from gridhaul.client.records import CheckRecord
from tests.cli.scripted_api import MIB, ScriptedApi
from tests.cli.terminals import CTRL_C, terminal
from tests.cli.test_fsck import CHECK_ID, LOOK, START, check

WIDTHS = [40, 60, 80, 120, 200]
NO_WORKER = {"code": "no_worker", "detail": f"No worker has answered for 20 s {'x' * 200}."}


def record(stage: str, **changes: Any) -> CheckRecord:
    return cast("CheckRecord", check("RUNNING", stage=stage, **changes))


def drawn(bar: CheckBar, columns: int) -> list[str]:
    console = Console(file=io.StringIO(), width=columns)
    with console.capture() as captured:
        console.print(bar)
    return captured.get().splitlines()


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("stage", ["files", "contents", "objects", "bucket_files"])
def test_every_line_is_narrower_than_the_terminal(columns: int, stage: str) -> None:
    bar = CheckBar()
    bar.title(f"check {CHECK_ID}")
    bar.show(record(stage, found=3, waiting=NO_WORKER, checked_objects=10**9, target_bytes=1 << 40))
    lines = drawn(bar, columns)
    assert len(lines) == 3
    assert max(cell_len(line) for line in lines) <= columns - 2
    assert lines[2].startswith("3 found; waiting: no worker")


def test_stage_at_targets_counts_objects_and_estimates_nothing() -> None:
    bar = CheckBar(clock=iter(range(0, 1000, 100)).__next__)
    skipped = {"replaced": 2}
    for seconds in range(3):
        bar.show(record("objects", checked_objects=118, skipped_objects=skipped, rate=1.0, checked_bytes=seconds))
    assert drawn(bar, 80)[1].split() == ["objects", "120"]
    bar.show(record("objects", checked_objects=118, skipped_objects=skipped, target_bytes=3 * MIB))
    assert drawn(bar, 80)[1].split() == ["objects", "120,", "3.0", "MiB", "read", "back"]


def test_rate_is_measured_over_all_the_time_that_chunks_are_compared() -> None:
    rate = ComparingRate()
    for now, compared in ((0, 100), (1, 900), (4, 500), (10, 1100)):
        latest = record("contents", checked_bytes=compared, total_bytes=2000, rate=10**9)
        rate.look(latest, now)
        assert rate.of(latest) == {0: None, 1: None, 4: 100.0, 10: 100.0}[now]
    rate.look(record("objects"), 20)
    assert rate.of(latest) == 100.0


def test_estimate_of_more_than_99_hours_is_none() -> None:
    rate = ComparingRate()
    for now in (0, 10):
        rate.look(record("contents", checked_bytes=now, total_bytes=1 << 40), now)
    assert rate.of(record("contents", checked_bytes=10, total_bytes=1 << 40)) is None


def test_log_gets_a_line_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    lines = CheckLines()
    for stage, number in (("contents", 0), ("contents", 1), ("objects", 0), ("objects", 7), ("usage", 7)):
        lines.show(record(stage, checked_objects=number, found=number))
    assert capsys.readouterr().err.splitlines() == ["contents 3.0 MiB of 4.0 MiB", "objects 0", "usage; 7 found"]


@pytest.mark.parametrize("columns", WIDTHS)
def test_interrupt_leaves_one_line(api: ScriptedApi, columns: int) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("RUNNING", found=2))
    with terminal("fsck", columns=columns) as shown:
        shown.read_until(lambda: any(line.startswith("contents") for line in shown.lines))
        shown.type(CTRL_C)
        exit_code, stdout = shown.read_to_the_end()
    look = f"The check continues on the server; look with: gridhaul check {CHECK_ID}"
    cancel = f"; cancel with: gridhaul check {CHECK_ID} --cancel"
    assert (exit_code, stdout, shown.text) == (130, "", f"Interrupted. {look}{cancel}")
    assert shown.cursor_is_shown


def test_bar_vanishes_at_the_end(api: ScriptedApi) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("RUNNING"), check("DONE"))
    with terminal("fsck", columns=80) as shown:
        exit_code, stdout = shown.read_to_the_end()
    assert (exit_code, stdout) == (0, "DONE 1 content, 3.0 MiB checked; nothing is wrong\n")
    assert shown.lines == []

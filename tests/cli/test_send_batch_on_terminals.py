"""The display of a batch, on terminals of every width and in logs."""

import io
from typing import cast

import pytest
from rich.cells import cell_len
from rich.console import Console

from gridhaul.cli.batch_display import BatchBar, BatchLines
from gridhaul.cli.batch_progress import BatchLook, Member, Totals, counts_line
from gridhaul.cli.terminal import MARGIN_COLUMNS
from gridhaul.client.batch_records import BatchRecord
from tests.cli.scripted_api import MIB, ScriptedApi, problem
from tests.cli.scripted_batches import BATCH_ID, SENT, STORING, THE_BATCH, batch, counts, page, play
from tests.cli.terminals import CTRL_C, terminal

WIDTHS = [40, 60, 80, 120, 200]
SEND = ("send", "/srv/a", "/srv/b", "--to", "archive")


def look(*moving: Member, state: str = "RUNNING", **members: int) -> BatchLook:
    shown = cast(BatchRecord, batch(state, counts=counts({"object_exists": 3}, {"link": 12}, **members)))
    return BatchLook(batch=shown, moving=list(moving), waiting=[])


def member(name: str, done: int = MIB) -> Member:
    return Member(name=name, word="STREAMING", done_bytes=done, length_bytes=4 * MIB, waiting=None)


@pytest.mark.parametrize("columns", WIDTHS)
def test_total_counts_and_newest_members_fit_the_terminal(columns: int) -> None:
    bar = BatchBar(Console(), clock=lambda: 0.0)
    bar.title(f"batch {BATCH_ID}: {'/srv/x' * 50}")
    moving = [member(f"{n}{'名' * 60}.h5\n") for n in range(5)]
    bar.show(look(*moving, STORED=1204, STORING=18796, DELIVERED=1100, QUEUED=104))
    console = Console(file=io.StringIO(), width=columns)
    with console.capture() as captured:
        console.print(bar)
    title, total, counted, *members = captured.get().splitlines()
    assert title.endswith("…")
    assert total.startswith("sending      ")
    assert counted.startswith("1,204 of 20,000 files stored, 1,100"[: columns - MARGIN_COLUMNS - 1])
    assert [line.split()[:2] for line in members] == [["delivering", "25%"]] * 3
    assert all(".h5\\n" in line for line in members)
    assert max(cell_len(line) for line in captured.get().splitlines()) <= columns - MARGIN_COLUMNS


@pytest.mark.parametrize("columns", WIDTHS)
def test_finished_bar_and_counts_stay(api: ScriptedApi, columns: int) -> None:
    running = batch("RUNNING", counts=counts(STORED=2, STORING=2, DELIVERED=1, STREAMING=1))
    play(api, running, running, batch("DONE"))
    with terminal(*SEND, columns=columns) as shown:
        exit_code, stdout = shown.read_to_the_end()
    assert (exit_code, stdout.split()[:2]) == (0, ["DONE", BATCH_ID])
    title, total, counted = shown.lines
    assert title.startswith(f"batch {BATCH_ID}")
    assert total.startswith("done    ")
    assert counted.startswith("4 of 4 files stored, 4 delivered")
    assert shown.cursor_is_shown


@pytest.mark.parametrize("columns", WIDTHS)
def test_interrupt_leaves_one_line_that_says_how_to_look_again(api: ScriptedApi, columns: int) -> None:
    play(api, batch("RUNNING", counts=counts(STORING=4)))
    with terminal(*SEND, columns=columns) as shown:
        shown.read_until(lambda: any("delivering" in line for line in shown.lines))
        shown.type(CTRL_C)
        exit_code, stdout = shown.read_to_the_end()
    told = f"Interrupted. The batch continues on the server; look with: gridhaul batch {BATCH_ID} --follow"
    assert (exit_code, stdout, shown.text) == (130, "", told)


def test_bar_vanishes_when_the_api_refuses(api: ScriptedApi) -> None:
    play(api, batch("RUNNING"), problem(401, "unauthorized", "The token is no longer valid."))
    with terminal(*SEND, columns=200) as shown:
        assert shown.read_to_the_end()[0] == 5
    advice, error = shown.lines
    assert advice == f"The batch continues on the server; look with: gridhaul batch {BATCH_ID} --follow"
    assert error.startswith("ERROR unauthorized: ")


def test_log_has_a_line_every_ten_seconds_and_for_each_new_state(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = BatchLines(clock=lambda: now[0])
    for now[0] in (1.0, 5.0, 11.5, 12.0, 21.5):
        lines.show(look(STORED=int(now[0]), STORING=39 - int(now[0]), FAILED=3))
    now[0] = 22.0
    lines.show(look(state="PAUSED", STORED=39, FAILED=3))
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(";")[0] for line in told] == [
        "SENDING 1.0 MiB of 75.0 MiB",
        "SENDING 11.0 MiB of 75.0 MiB, 945.2 KiB/s, 1 min 09 s left",
        "SENDING 21.0 MiB of 75.0 MiB, 1.0 MiB/s, 54 s left",
        "PAUSED 39.0 MiB of 75.0 MiB",
    ]
    assert "11 of 39 files stored, 0 delivered, 3 failed, 12 skipped" in told[1]


def test_what_is_done_never_becomes_less_while_an_attempt_begins_again() -> None:
    totals = Totals(clock=lambda: 0.0)
    looks = [look(member("a", 3 * MIB), STORED=4), look(member("a", 0), STORED=4), look(STORED=4, DELIVERED=4)]
    assert [totals.after(one).done_bytes // MIB for one in looks] == [7, 7, 8]


def test_members_that_were_given_up_count_neither_as_done_nor_as_left() -> None:
    total = Totals(clock=lambda: 0.0).after(look(STORED=4, FILE_FAILED=2, DELIVERED=3, CANCELLED=1))
    assert (total.done_bytes, total.length_bytes) == (7 * MIB, 7 * MIB)


def test_counts_of_several_targets_are_deliveries_and_a_walk_only_says_what_is_found() -> None:
    to = [{"target": name, "prefix": None, "if_exists": "fail"} for name in ("archive", "mirror")]
    some = {"deliver_to": to, "counts": counts(STORED=2, REGISTERED=3, DELIVERED=3)}
    running, walking = (cast(BatchRecord, batch(state, **some)) for state in ("RUNNING", "REGISTERING"))
    assert counts_line(running) == "2 of 5 files stored, 3 of 10 deliveries made"
    assert counts_line(walking) == "5 files found so far, 2 stored, 3 delivered"
    assert counts_line(cast(BatchRecord, batch("REGISTERING"))) == ""


@pytest.mark.parametrize("state", ["DONE", "CANCELLED"])
def test_counts_of_a_batch_that_ended_early_say_so(state: str) -> None:
    ended = cast(BatchRecord, batch(state, registered=False, counts=counts(STORED=2, FILE_CANCELLED=3)))
    assert counts_line(ended) == "2 of 5 files stored, 0 delivered, not every file was registered"


def test_nothing_is_asked_of_a_paused_batch_but_its_state(api: ScriptedApi) -> None:
    play(api, batch("PAUSED"), batch("DONE"))
    api.script(SENT, page("deliveries"))
    with terminal(*SEND, columns=80) as shown:
        shown.read_to_the_end()
    assert (len(api.calls(THE_BATCH)), api.calls(SENT), api.calls(STORING)) == (2, [], [])

"""The bars of a transfer, on terminals of every width."""

import io
from typing import cast

import pytest
from rich.cells import cell_len
from rich.console import Console

from gridhaul.cli.bars import Bar, Bars, Speed
from gridhaul.cli.terminal import MARGIN_COLUMNS
from gridhaul.client import Transfer
from gridhaul.client.records import DeliveryRecord, FileRecord
from tests.cli.scripted_api import (
    FILE_ID,
    ITS_DELIVERIES,
    MIB,
    PREPARE,
    THE_DELIVERY,
    THE_FILE,
    Answer,
    ScriptedApi,
    deliveries,
    delivery,
    file,
    problem,
)
from tests.cli.terminals import CTRL_C, terminal

WIDTHS = [40, 60, 80, 120, 200]
SEND = ("send", "/srv/run42.h5", "--to", "archive")
GIB = 1 << 30
SHOWN = {
    40: ("reading back ", "  2% 1023.0 MiB"),
    60: ("reading back ", " 1023.0 MiB of 40.0 GiB  900.5 KiB/s"),
    80: ("reading back ", " 1023.0 MiB of 40.0 GiB  900.5 KiB/s  12 h 36 min left"),
}


def drawn(bar: Bar | Bars, columns: int) -> list[str]:
    console = Console(file=io.StringIO(), width=columns)
    with console.capture() as captured:
        console.print(bar)
    return captured.get().splitlines()


def bar(done: int, length: int, rate: float | None) -> Bar:
    return Bar(word="reading back", done_bytes=done, length_bytes=length, rate=rate, over=done >= length)


@pytest.mark.parametrize("columns", WIDTHS)
def test_bar_gives_way_first_then_time_left_rate_and_length(columns: int) -> None:
    (line,) = drawn(bar(1023 * MIB, 40 * GIB, 900.5 * 1024), columns)
    begin, end = SHOWN[min(columns, 80)]
    assert (line[: len(begin)], line[-len(end) :]) == (begin, end)
    assert cell_len(line) == columns - MARGIN_COLUMNS


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("length", [1, 4 * MIB, 1023 * MIB, 40 * GIB, 1000 << 40])
def test_nothing_jumps_while_bytes_move(columns: int, length: int) -> None:
    looks = [(0, None), (length // 3, 1.0), (length // 2, 1023.9 * MIB), (length - 1, 5e9), (length, None)]
    lines = [line for done, rate in looks for line in drawn(bar(done, length, rate), columns)]
    assert {(len(lines), cell_len(line)) for line in lines} == {(len(looks), columns - MARGIN_COLUMNS)}
    sizes = [line.split(" of ")[0][-10:] if " of " in line else line[-10:] for line in lines]
    assert all(size.endswith("B") for size in sizes), "each size ends in the same column"


def test_terminal_without_room_for_a_bar_shows_what_fits() -> None:
    assert drawn(bar(MIB, 4 * MIB, None), 22) == ["reading back   25%"]


def test_speed_is_measured_once_bytes_move_and_forgotten_when_they_stand_still() -> None:
    speed = Speed()
    looks = [(0.0, 5), (8.0, 5), (8.5, 6), (9.0, 8), (10.0, 25), (12.0, 25), (25.0, 25), (26.0, 25)]
    assert [speed.after(done, now) for now, done in looks] == [None, None, None, 3.0, 10.0, 5.0, None, None]


def test_speed_starts_anew_with_a_new_attempt() -> None:
    speed = Speed()
    assert [speed.after(done, now) for now, done in [(0.0, 0), (2.0, 10), (3.0, 1), (4.0, 4)]] == [None, 5.0, None, 3.0]


def test_reading_back_has_a_bar_with_its_own_rate_and_time_left() -> None:
    now = [0.0]
    bars = Bars(Console(), clock=lambda: now[0])
    for now[0], checked in ((1.0, MIB), (3.0, 2 * MIB)):
        record = delivery("STREAMING", sent_bytes=4 * MIB, checked_bytes=checked, rate=99 * MIB)
        seen = cast(FileRecord, file("STORED")), cast(DeliveryRecord, record)
        bars.show(Transfer(file=seen[0], delivery=seen[1], seen_at=None))
    stored, sent, reading = drawn(bars, 80)
    assert stored.startswith("stored ")
    assert sent.startswith("sent ")
    assert reading.startswith("reading back ")
    assert reading.split(" of ")[1].split() == ["4.0", "MiB", "512.0", "KiB/s", "4", "s", "left"]


@pytest.mark.parametrize("columns", WIDTHS)
def test_finished_bars_stay_and_each_is_one_line(api: ScriptedApi, columns: int) -> None:
    storing = [file("STORING", stored_bytes=n * MIB) for n in (0, 1, 3)]
    error = {"code": "target_unavailable", "detail": f"The target {'x' * 200} is away."}
    api.script(PREPARE, Answer(body=file("REGISTERED", name="n" * 250), status=202))
    api.script(THE_FILE, *storing, file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("QUEUED", error=error, waiting=error)))
    checked = [delivery("STREAMING", sent_bytes=4 * MIB, checked_bytes=n * MIB) for n in (1, 3)]
    api.script(THE_DELIVERY, *checked, delivery("DELIVERED", checked_bytes=4 * MIB))
    with terminal(*SEND, columns=columns) as shown:
        assert shown.read_to_the_end()[0] == 0
    title, *bars = shown.lines
    assert title.startswith(f"file {FILE_ID} n")
    assert title.endswith("…")
    assert [line[:12].strip() for line in bars] == ["stored", "delivered", "read back"]
    assert shown.cursor_is_shown


@pytest.mark.parametrize("columns", WIDTHS)
def test_interrupt_leaves_one_line(api: ScriptedApi, columns: int) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    api.script(THE_FILE, file("STORING", stored_bytes=MIB))
    with terminal(*SEND, columns=columns) as shown:
        shown.read_until(lambda: any(line.startswith("storing") for line in shown.lines))
        shown.type(CTRL_C)
        exit_code, stdout = shown.read_to_the_end()
    look = f"The transfer continues on the server; look with: gridhaul status {FILE_ID}"
    assert (exit_code, stdout, shown.text) == (130, "", f"Interrupted. {look}")
    assert shown.cursor_is_shown


def test_further_interrupts_change_nothing(api: ScriptedApi) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    api.script(THE_FILE, file("STORING", stored_bytes=MIB))
    with terminal(*SEND, columns=120) as shown:
        shown.read_until(lambda: any(line.startswith("storing") for line in shown.lines))
        shown.type(CTRL_C * 2)
        exit_code, _ = shown.read_to_the_end()
    look = f"The transfer continues on the server; look with: gridhaul status {FILE_ID}"
    assert (exit_code, shown.lines) == (130, [f"Interrupted. {look}"])


@pytest.mark.parametrize("columns", WIDTHS)
def test_countdown_is_seen_although_the_reason_is_cut(api: ScriptedApi, columns: int) -> None:
    error = {"code": "target_unavailable", "detail": f"The target {'x' * 200} is away."}
    waits = {"error": error, "waiting": error, "next_attempt_at": "2026-11-21T03:01:00Z"}
    waiting = Answer(body=delivery("QUEUED", **waits), headers={"Date": "Sat, 21 Nov 2026 03:00:20 GMT"})
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    api.script(THE_FILE, file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("QUEUED")))
    api.script(THE_DELIVERY, waiting)
    with terminal(*SEND, columns=columns) as shown:
        shown.read_until(lambda: "next attempt" in shown.text)
    assert shown.lines[-1].startswith("waiting: ")
    assert shown.lines[-1].endswith("…; next attempt in 40 s")


def test_bars_vanish_when_the_api_refuses(api: ScriptedApi) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    api.script(THE_FILE, file("STORING"), problem(401, "unauthorized", "The token is no longer valid."))
    with terminal(*SEND, columns=200) as shown:
        assert shown.read_to_the_end()[0] == 5
    look, error = shown.lines
    assert look == f"The transfer continues on the server; look with: gridhaul status {FILE_ID}"
    assert error.startswith("ERROR unauthorized: ")

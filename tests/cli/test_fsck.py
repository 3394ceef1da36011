"""`gridhaul fsck`, `gc` and `check`: their output and exit codes."""

import json
import signal
import threading
import time
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import FILE_ID, MIB, ScriptedApi, problem

CHECK_ID = "6740c0ffee0123456789cccc"
CONTENT_ID = "6740c0ffee0123456789ffff"
START = "POST /checks"
LOOK = f"GET /checks/{CHECK_ID}"
CANCEL = f"POST /checks/{CHECK_ID}/cancel"


def finding(outcome: str = "found", **changes: object) -> dict[str, Any]:
    record = {
        "code": "chunk_corrupt",
        "detail": "The data does not give the manifest's digest.",
        "content_id": CONTENT_ID,
        "file_id": FILE_ID,
        "delivery_id": None,
        "n": 21,
        "target": None,
        "name": None,
        "upload_id": None,
        "outcome": outcome,
        "why_not": None,
    }
    return record | changes


def check(state: str, *findings: dict[str, Any], **changes: object) -> dict[str, Any]:
    repaired = sum(one["outcome"] == "repaired" for one in findings)
    record = {
        "check_id": CHECK_ID,
        "kind": "fsck",
        "mode": "report",
        "file_id": None,
        "state": state,
        "stage": "contents" if state == "RUNNING" else None,
        "checked_bytes": 3 * MIB,
        "total_bytes": 4 * MIB,
        "checked_contents": 1,
        "total_contents": 2,
        "checked_objects": 0,
        "unread_objects": 0,
        "skipped_objects": {},
        "target_bytes": 0,
        "rate": None,
        "found": len(findings),
        "repaired": repaired,
        "counts": {"chunk_corrupt": len(findings)} if findings else {},
        "findings": list(findings),
        "source_bytes": repaired * MIB,
        "sent_bytes": repaired * MIB,
        "error": None,
        "waiting": None,
        "created_at": "2026-11-21T03:00:00Z",
        "updated_at": "2026-11-21T03:00:01Z",
        "links": {"self": f"/checks/{CHECK_ID}"},
    }
    return record | changes


def ordered(api: ScriptedApi) -> dict[str, Any]:
    (heard,) = api.calls(START)
    order: dict[str, Any] = json.loads(heard.body)
    return order


def test_clean_check_ends_with_0(api: ScriptedApi, run: Run) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("RUNNING"), check("DONE"))
    result = run("fsck")
    assert (result.exit_code, result.stdout) == (0, "DONE 1 content, 3.0 MiB checked; nothing is wrong\n")
    assert result.stderr.splitlines()[0] == f"check {CHECK_ID}"
    expected = {"kind": "fsck", "mode": "report", "id": None, "read_targets": False, "bytes_per_second": None}
    assert ordered(api) == expected


def test_obstacle_of_a_check_is_shown_once(api: ScriptedApi, run: Run) -> None:
    details = [f"No worker has answered for {seconds} s (queue: maintenance); start one." for seconds in (20, 21)]
    waits = [{"code": "no_worker", "detail": detail} for detail in details]
    api.script(START, check("QUEUED", waiting=waits[0]))
    api.script(LOOK, check("QUEUED", waiting=waits[1]), check("DONE"))
    waiting = [line for line in run("fsck").stderr.splitlines() if "waiting" in line]
    (line,) = waiting
    assert line.endswith("; waiting: no worker has answered for 20 s (queue: maintenance); start one")


def test_findings_are_printed_one_a_line_and_end_with_3(api: ScriptedApi, run: Run) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("DONE", finding(), finding(n=22, detail="evil\x1b[2J")))
    result = run("fsck", FILE_ID)
    assert result.exit_code == 3
    where = f"chunk_corrupt file {FILE_ID} content {CONTENT_ID} chunk"
    assert result.stdout.splitlines() == [
        f"{where} 21: The data does not give the manifest's digest.",
        f"{where} 22: evil\\x1b[2J",
        "2 × chunk_corrupt: A chunk's data is not what the manifest says.",
        "Chunks are fetched again from their sources with: gridhaul fsck --repair",
        "DONE 1 content, 3.0 MiB checked; 2 found, 0 repaired",
    ]
    assert ordered(api)["id"] == FILE_ID


def test_what_was_repaired_ends_with_0_and_says_how_deliveries_go_on(api: ScriptedApi, run: Run) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("DONE", finding("repaired")))
    result = run("fsck", "--repair")
    assert result.exit_code == 0
    assert "[repaired]" in result.stdout.splitlines()[0]
    assert "gridhaul retry" in result.stdout
    assert "1 found, 1 repaired, 1.0 MiB read from sources, 1.0 MiB sent" in result.stdout.splitlines()[-1]
    assert ordered(api)["mode"] == "repair"


def test_what_could_not_be_repaired_says_why_and_ends_with_3(api: ScriptedApi, run: Run) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("DONE", finding("repaired"), finding("not_repaired", why_not="There is no file.")))
    result = run("fsck", "--repair")
    assert result.exit_code == 3
    assert result.stdout.splitlines()[1].endswith("[not repaired] (There is no file.)")


@pytest.mark.parametrize("flags", [("--dry-run",), ("--dry-run", "--repair")])
def test_dry_run_repairs_nothing(api: ScriptedApi, run: Run, flags: tuple[str, ...]) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("DONE", finding("would_repair")))
    result = run("fsck", *flags)
    assert (result.exit_code, ordered(api)["mode"]) == (3, "dry_run")
    assert "[would repair]" in result.stdout


def test_gc_removes_and_its_dry_run_is_no_failure(api: ScriptedApi, run: Run) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("DONE", finding("would_repair", code="chunks_orphaned"), kind="gc", mode="dry_run"))
    assert run("gc", "--dry-run").exit_code == 0
    assert (ordered(api)["kind"], ordered(api)["mode"]) == ("gc", "dry_run")


def test_json_is_the_record(api: ScriptedApi, run: Run) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("DONE", finding()))
    result = run("fsck", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (3, {"check": check("DONE", finding())})


def test_more_findings_than_are_kept_are_counted(api: ScriptedApi, run: Run) -> None:
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("DONE", finding(), found=1500, counts={"chunk_corrupt": 1500}))
    assert "… and 1499 more findings" in run("fsck").stdout


@pytest.mark.parametrize(("value", "bytes_a_second"), [("20MiB", 20 << 20), ("512KiB", 512 << 10), ("7", 7)])
def test_rate_is_read(api: ScriptedApi, run: Run, value: str, bytes_a_second: int) -> None:
    api.script(START, check("DONE"))
    assert run("fsck", "--rate", value, "--no-wait").exit_code == 0
    assert ordered(api)["bytes_per_second"] == bytes_a_second


@pytest.mark.parametrize("value", ["0", "fast", "20MB", "-1", "1.5MiB"])
def test_rate_that_is_none_is_refused(api: ScriptedApi, run: Run, value: str) -> None:
    assert run("fsck", f"--rate={value}").exit_code == 2
    assert not api.heard


def test_without_waiting_the_id_is_printed(api: ScriptedApi, run: Run) -> None:
    api.script(START, check("QUEUED"))
    result = run("fsck", "--no-wait")
    assert (result.exit_code, result.stdout) == (0, f"QUEUED {CHECK_ID}\n")
    assert not api.calls(LOOK)


def test_check_that_failed_says_why(api: ScriptedApi, run: Run) -> None:
    api.script(START, check("QUEUED"))
    error = {"code": "worker_lost", "detail": "The worker was lost again and again."}
    api.script(LOOK, check("FAILED", error=error))
    result = run("fsck")
    assert result.exit_code == 1
    assert "FAILED worker_lost: The worker was lost" in result.stderr


def test_check_is_looked_at_again_and_cancelled(api: ScriptedApi, run: Run) -> None:
    api.script(LOOK, check("DONE", finding()))
    assert run("check", CHECK_ID).exit_code == 3
    api.script(CANCEL, check("CANCELLED"))
    result = run("check", CHECK_ID, "--cancel")
    assert (result.exit_code, result.stdout) == (0, f"CANCELLED {CHECK_ID}\n")
    assert run("check", "--cancel").exit_code == 2


def test_checks_are_listed(api: ScriptedApi, run: Run) -> None:
    checks = [check("RUNNING", kind="scrub"), check("DONE", finding("repaired"), mode="repair")]
    api.script("GET /checks?limit=20", {"checks": checks, "next_cursor": None})
    result = run("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "ID                        TIME                  STATE    KIND   FOUND",
        f"{CHECK_ID}  2026-11-21T03:00:00Z  RUNNING  scrub  0",
        f"{CHECK_ID}  2026-11-21T03:00:00Z  DONE     fsck   1, 1 repaired",
    ]


def test_objects_that_were_compared_and_skipped_are_said(api: ScriptedApi, run: Run) -> None:
    skipped = {"replaced": 1, "name_held": 1, "new_reason": 2}
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("DONE", checked_objects=5, unread_objects=3, skipped_objects=skipped))
    assert run("fsck").stdout == (
        "DONE 1 content, 3.0 MiB checked; 5 objects at targets (3 by length only; --read-targets reads them back), "
        "4 skipped: 1 being written, 2 new_reason, 1 replaced by a later delivery; nothing is wrong\n"
    )


@pytest.mark.parametrize("mode", ["report", "dry_run"])
def test_lost_objects_come_with_the_commands_that_deliver_again(api: ScriptedApi, run: Run, mode: str) -> None:
    lost = finding(code="object_differs", why_not="A retry of the delivery sends it again.")
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("DONE", lost, counts={"object_differs": 1}, mode=mode, checked_objects=1))
    shown = run("fsck").stdout
    assert "gridhaul retry DELIVERY" in shown
    assert "gridhaul deliver FILE --to TARGET with --if-exists overwrite, or with another --name" in shown
    assert ("without --dry-run" in shown) is (mode == "dry_run")


def test_unknown_id_ends_with_4(api: ScriptedApi, run: Run) -> None:
    api.script(START, problem(404, "not_found", "There is no such file or delivery."))
    assert run("fsck", FILE_ID).exit_code == 4


def test_interrupt_says_how_to_look_again_and_how_to_cancel(
    api: ScriptedApi, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = time.sleep

    def interrupt(seconds: float) -> None:  # threads of other tests may sleep meanwhile
        if threading.current_thread() is threading.main_thread():
            signal.raise_signal(signal.SIGINT)
        sleep(seconds)

    monkeypatch.setattr("time.sleep", interrupt)
    api.script(START, check("QUEUED"))
    api.script(LOOK, check("RUNNING"))
    result = run("fsck")
    assert result.exit_code == 130
    assert f"gridhaul check {CHECK_ID};" in result.stderr
    assert f"gridhaul check {CHECK_ID} --cancel" in result.stderr

"""`gridhaul events`: a line for each change, also after the stream was lost."""

import json
import signal
import subprocess
import sys

import pytest

from gridhaul.client import news
from tests.cli.conftest import Run
from tests.cli.scripted_api import (
    DELIVERY_ID,
    FILE_ID,
    ITS_EVENTS,
    MIB,
    Answer,
    Events,
    ScriptedApi,
    delivery,
    file,
    problem,
)
from tests.cli.scripted_batches import BATCH_ID, batch

ALL_EVENTS = "GET /events"
GONE = problem(401, "unauthorized", "The token or key is not valid here, or no longer.")
MOVED = {"kind": "file", **file("STORING", stored_bytes=MIB)}
AT = "2026-11-21T03:00:01Z"
FAILED = {"code": "target_refused", "detail": "Not\x1b[2J here."}


def test_each_event_is_a_line(api: ScriptedApi, run: Run) -> None:
    told = [
        ("file", file("REGISTERED")),
        ("progress", MOVED),
        ("delivery", delivery("FAILED", error=FAILED)),
        ("batch", batch("REGISTERING")),
    ]
    api.script(ALL_EVENTS, Events(told=told, retry_ms=1), GONE)
    done = run("events")
    assert done.stdout.splitlines()[:3] == [
        f"{AT} file {FILE_ID} REGISTERED run42.h5",
        f"{AT} file {FILE_ID} STORING run42.h5 (1.0 MiB of 4.0 MiB)",
        f"2026-11-21T03:00:03Z delivery {DELIVERY_ID} FAILED archive: run42.h5 (target_refused: not\\x1b[2J here)",
    ]
    assert f" batch {BATCH_ID} REGISTERING /srv/" in done.stdout.splitlines()[3]
    assert (done.exit_code, done.stderr.splitlines()[-1][:19]) == (5, "ERROR unauthorized:")


def test_json_has_the_records_and_says_what_is_only_progress(api: ScriptedApi, run: Run) -> None:
    api.script(ITS_EVENTS, Events(told=[("file", file("STORING")), ("progress", MOVED)], retry_ms=1), GONE)
    lines = [json.loads(line) for line in run("events", FILE_ID, "--json").stdout.splitlines()]
    assert lines == [{"file": file("STORING")}, {"file": file("STORING", stored_bytes=MIB), "progress": True}]


def test_stream_that_ends_is_continued_and_what_comes_twice_is_told_once(api: ScriptedApi, run: Run) -> None:
    last_id = f"1764000000000-{FILE_ID}"
    both = [("file", file("STORING")), ("file", file("STORED"))]
    away = problem(503, "database_unavailable", "The database does not answer as it should; try again.")
    first = Events(told=both[:1], last_id=last_id, retry_ms=1)
    api.script(ALL_EVENTS, first, away, Events(told=both, retry_ms=1), GONE)
    done = run("events")
    assert [line.split()[3] for line in done.stdout.splitlines()] == ["STORING", "STORED"]
    assert [one.headers.get("last-event-id") for one in api.calls(ALL_EVENTS)] == [None, last_id, last_id, last_id]
    assert done.stderr.splitlines()[0].startswith("waiting: ")


def test_silent_stream_is_opened_again(api: ScriptedApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "SILENCE_SECONDS", 0.2)
    api.script(ALL_EVENTS, Events(told=[], goes_on=True, retry_ms=1), GONE)
    assert run("events").exit_code == 5
    assert len(api.calls(ALL_EVENTS)) == 2


@pytest.mark.parametrize(
    ("answer", "exit_code"),
    [
        (problem(404, "path_unknown", "There is nothing at this path."), 1),
        (problem(404, "not_found", "There is no such file."), 4),
        (Answer(body={"this": "is no stream"}), 1),
    ],
    ids=["older", "unknown", "other"],
)
def test_api_without_events_is_one_line(api: ScriptedApi, run: Run, answer: Answer, exit_code: int) -> None:
    api.script(ITS_EVENTS, answer)
    done = run("events", FILE_ID)
    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_ends_it_and_each_line_came_at_once(api: ScriptedApi) -> None:
    api.script(ALL_EVENTS, Events(told=[("file", file("STORED"))], goes_on=True))
    command = [sys.executable, "-m", "gridhaul.cli", "events"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
    assert (process.returncode, line, rest, said) == (
        130,
        f"{AT} file {FILE_ID} STORED run42.h5\n",
        "",
        "Interrupted.\n",
    )

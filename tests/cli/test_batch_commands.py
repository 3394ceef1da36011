"""`gridhaul batch`, `gridhaul batches`, and the other commands with the id of a batch."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import Answer, ScriptedApi, delivery, problem
from tests.cli.scripted_batches import BATCH_ID, SKIPPED, SUMS, THE_BATCH, batch, counts, fail, page, play

LIST = "GET /batches?limit=20"
LINK = {"path": "/srv/run42/latest", "reason": "link", "detail": "Links are not followed."}


def test_open_batch_is_shown_as_it_is(api: ScriptedApi, run: Run) -> None:
    choice = {"include": ["*.h5"], "exclude": ["a"], "hidden": False, "links": "skip", "empty_folders": False}
    to = [{"target": "archive", "prefix": "2026", "if_exists": "rename"}]
    some = counts(STORED=1, STORING=1)
    shown = batch("REGISTERING", base="/srv", choice=choice, deliver_to=to, excluded=7, counts=some)
    api.script(THE_BATCH, shown)
    result = run("batch", BATCH_ID)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"batch {BATCH_ID} REGISTERING",
        "  path        /srv/run42",
        "  base        /srv",
        "  include     *.h5",
        "  exclude     a",
        "  without     names that begin with a dot",
        "  links       skip",
        "  left out    7 by patterns",
        "  to          archive: 2026/… (if one exists: rename)",
        "  files       1 STORED (1.0 MiB), 1 STORING (1.0 MiB); more are being looked for",
        "  deliveries  none",
        "  created     2026-11-21T03:00:00Z",
    ]


@pytest.mark.parametrize(
    ("state", "registered", "rest"),
    [
        ("REGISTERING", False, "; more are being looked for"),
        ("PAUSED", False, "; the rest is looked for after a resume"),
        ("RUNNING", True, ""),
        ("DONE", True, ""),
        ("DONE", False, "; not every file was registered"),
        ("CANCELLED", False, "; not every file was registered"),
        ("PLANNED", False, ""),
    ],
)
def test_files_are_looked_for_only_while_the_batch_is_open(
    api: ScriptedApi, run: Run, state: str, registered: bool, rest: str
) -> None:
    api.script(THE_BATCH, batch(state, registered=registered, counts=counts(STORED=4)))
    told = run("batch", BATCH_ID).stdout.splitlines()
    assert f"  files       4 STORED (4.0 MiB){rest}" in told


def test_batch_that_is_over_is_shown_with_its_end(api: ScriptedApi, run: Run) -> None:
    done = batch("DONE", counts=counts({"object_exists": 1}, {"link": 1}, STORED=4, DELIVERED=3, FAILED=1))
    api.script(THE_BATCH, done)
    taken = {"code": "object_exists", "detail": "Other bytes are there."}
    fail(api, delivery("FAILED", error=taken))
    api.script(SKIPPED, page("skipped", LINK))
    for command in ("batch", "status"):
        result = run(command, BATCH_ID)
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1].startswith(f"DONE {BATCH_ID} 4 files 4194304 bytes sha256sums={SUMS} ")
        assert "  object_exists run42.h5 to archive: Other bytes are there.\n" in result.stderr
        assert "  link /srv/run42/latest: Links are not followed.\n" in result.stderr
        shown = json.loads(run(command, BATCH_ID, "--json").stdout)
        assert shown["batch"] == done


def test_followed_batch_ends_as_send_does(api: ScriptedApi, run: Run) -> None:
    play(api, batch("RUNNING"), batch("RUNNING"), batch("DONE", counts=counts({"worker_lost": 1}, FILE_FAILED=1)))
    fail(api)
    result = run("batch", BATCH_ID, "--follow")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"FAILED {BATCH_ID} 1 failed. Then: gridhaul retry {BATCH_ID}"


def test_digests_of_now_are_written(api: ScriptedApi, run: Run, tmp_path: Path) -> None:
    api.script(THE_BATCH, batch("RUNNING"))
    api.script(f"GET /batches/{BATCH_ID}/sha256sums", Answer(body="the digests"))
    assert run("batch", BATCH_ID, "--sha256sums", str(tmp_path / "SUMS")).exit_code == 0
    assert (tmp_path / "SUMS").read_text() == '"the digests"'


def test_batches_are_listed_with_tabs_and_whole(api: ScriptedApi, run: Run) -> None:
    many = batch("DONE", paths=["/srv/a\tb", "/srv/" + "c" * 300])
    api.script(LIST, page("batches", batch("REGISTERING"), many))
    header, first, second = run("batches").stdout.splitlines()
    assert header.split("\t")[:6] == ["ID", "STATE", "FILES", "SIZE", "FAILED", "SKIPPED"]
    values = [BATCH_ID, "REGISTERING", "-", "-", "-", "-", "archive", "2026-11-21T03:00:00Z", "/srv/run42"]
    assert first.split("\t") == values
    assert second.split("\t")[2:6] == ["4", "4.0 MiB", "0", "0"]
    assert second.endswith(f"/srv/a\\tb /srv/{'c' * 300}")


def test_batches_are_listed_by_state_and_as_json_lines(api: ScriptedApi, run: Run) -> None:
    api.script("GET /batches?state=DONE&limit=5", page("batches", batch("DONE"), batch("DONE")))
    lines = run("batches", "--state", "done", "--limit", "5", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == [{"batch": batch("DONE")}] * 2


@pytest.mark.parametrize("command", ["cancel", "pause", "resume", "retry"])
def test_batch_is_moved_and_its_state_printed(api: ScriptedApi, run: Run, command: str) -> None:
    api.script(f"POST /batches/{BATCH_ID}/{command}", batch("RUNNING"))
    result = run(command, BATCH_ID)
    assert (result.exit_code, result.stdout) == (0, f"batch {BATCH_ID} RUNNING\n")


@pytest.mark.parametrize(("options", "query"), [((), ""), (("--cancel",), "?cancel=true")])
def test_batch_is_removed(api: ScriptedApi, run: Run, options: tuple[str, ...], query: str) -> None:
    api.script(f"DELETE /batches/{BATCH_ID}{query}", Answer(body=batch("DELETING"), status=202))
    result = run("rm", BATCH_ID, *options)
    assert (result.exit_code, result.stdout) == (0, f"batch {BATCH_ID} DELETING\n")


def test_refused_move_says_why(api: ScriptedApi, run: Run) -> None:
    api.script(f"POST /batches/{BATCH_ID}/retry", problem(409, "state_conflict", "The batch is RUNNING."))
    result = run("retry", BATCH_ID)
    assert (result.exit_code, result.stderr) == (1, f"ERROR {BATCH_ID} state_conflict: The batch is RUNNING.\n")


@pytest.mark.parametrize("args", [("batch",), ("batch", "x"), ("batches", "--state", "STORED")])
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, args: tuple[str, ...]) -> None:
    assert (run(*args).exit_code, api.heard) == (2, [])


def test_unknown_batch_is_not_found(run: Run) -> None:
    assert run("batch", "0" * 24).exit_code == 4

"""`gridhaul send` of several files: the request that it makes, its output and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import (
    FILE_ID,
    ITS_DELIVERIES,
    PREPARE,
    THE_FILE,
    Answer,
    ScriptedApi,
    deliveries,
    delivery,
    file,
    problem,
)
from tests.cli.scripted_batches import (
    BATCH_ID,
    FAILED_DELIVERIES,
    FAILED_FILES,
    QUEUED,
    REGISTERED,
    SENT,
    SKIPPED,
    START,
    STORING,
    SUMS,
    THE_BATCH,
    batch,
    counts,
    fail,
    page,
    play,
    take,
)

TO = ("--to", "archive")
TWO = ("send", "/srv/a", "/srv/b", *TO)
SUMMARY = f"DONE {BATCH_ID} 4 files 4194304 bytes sha256sums={SUMS} in 8 s, 512.0 KiB/s\n"
LINK = {"path": "/srv/a/latest", "reason": "link", "detail": "Links are not followed."}


def order(api: ScriptedApi) -> dict[str, Any]:
    (heard,) = api.calls(START)
    assert len(heard.headers["idempotency-key"]) == 36
    return dict(json.loads(heard.body))


def test_several_files_are_one_batch_with_one_summary(api: ScriptedApi, run: Run) -> None:
    running = batch("RUNNING", counts=counts(STORED=3, STORING=1, DELIVERED=2, STREAMING=1))
    play(api, running, batch("DONE"))
    result = run(*TWO)
    assert (result.exit_code, result.stdout) == (0, SUMMARY)
    assert order(api) == {
        "paths": ["/srv/a", "/srv/b"],
        "deliver_to": [{"target": "archive", "if_exists": "fail"}],
        "if_changed": "fail",
    }
    assert result.stderr.splitlines() == [
        f"batch {BATCH_ID}: /srv/run42 to archive",
        "SENDING 8.0 MiB of 8.0 MiB; 3 of 4 files stored, 2 delivered",
        "DONE 8.0 MiB of 8.0 MiB; 4 of 4 files stored, 4 delivered",
    ]


def test_every_option_is_sent(api: ScriptedApi, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    play(api, batch("DONE"))
    choice = ("--include", "*.h5", "--exclude", "a", "--exclude", "b/", "--no-hidden", "--links", "follow", "--update")
    targets = ("--to", "archive", "--to", "mirror", "--to", "archive", "--prefix", "2026", "--base", "x")
    policy = ("--if-exists", "rename", "--if-changed", "restart")
    assert run("send", "x/../x/run", "/srv/dir/", *targets, *choice, *policy).exit_code == 0
    to = {"if_exists": "rename", "prefix": "2026"}
    assert order(api) == {
        "paths": [f"{tmp_path}/x/run", "/srv/dir/"],
        "deliver_to": [{"target": "archive", **to}, {"target": "mirror", **to}],
        "if_changed": "restart",
        "base": f"{tmp_path}/x",
        "include": ["*.h5"],
        "exclude": ["a", "b/"],
        "hidden": False,
        "links": "follow",
        "update": True,
    }


@pytest.mark.parametrize(
    "options",
    [("--to", "mirror"), ("--prefix", "p"), ("--base", "/srv"), ("--include", "a"), ("--hidden",), ("--update",)],
)
def test_option_of_a_batch_makes_a_batch_of_one_file(api: ScriptedApi, run: Run, options: tuple[str, ...]) -> None:
    play(api, batch("DONE"))
    assert run("send", "/srv/a", *TO, *options).exit_code == 0
    assert api.calls(PREPARE) == []
    assert order(api)["paths"] == ["/srv/a"]


def test_directory_becomes_a_batch_and_keeps_the_slash_at_its_end(api: ScriptedApi, run: Run) -> None:
    api.script(PREPARE, problem(422, "not_a_regular_file", "The path names no regular file."))
    play(api, batch("DONE"))
    assert (run("send", "/srv/run/", *TO).stdout, order(api)["paths"]) == (SUMMARY, ["/srv/run/"])


@pytest.mark.parametrize("path", ["/srv/*.h5", "/srv/run?", "/srv/[ab]"])
def test_pattern_that_names_no_file_becomes_a_batch(api: ScriptedApi, run: Run, path: str) -> None:
    api.script(PREPARE, problem(404, "source_missing", "The server has no file at the path of the source."))
    play(api, batch("DONE"))
    assert (run("send", path, *TO).exit_code, order(api)["paths"]) == (0, [path])


def test_file_whose_name_looks_like_a_pattern_is_sent_as_a_file(api: ScriptedApi, run: Run) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))
    api.script(THE_FILE, file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("DELIVERED")))
    assert run("send", "/srv/a[1].h5", *TO).stdout.startswith(f"DELIVERED {FILE_ID} ")
    assert api.calls(START) == []


def test_missing_file_without_a_pattern_makes_no_batch(api: ScriptedApi, run: Run) -> None:
    api.script(PREPARE, problem(404, "source_missing", "The server has no file at the path of the source."))
    assert run("send", "/srv/a", *TO).exit_code == 4
    assert api.calls(START) == []


def test_directory_cannot_have_the_name_of_one_object(api: ScriptedApi, run: Run) -> None:
    api.script(PREPARE, problem(422, "not_a_regular_file", "The path names no regular file."))
    assert run("send", "/srv/a", *TO, "--name", "b").exit_code == 2
    assert api.calls(START) == []


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("/srv/a", "/srv/b", "--name", "c"), "--prefix"),
        (("/srv/a", "/srv/b", "--no-wait", "--report", "/dev/null"), "--no-wait"),
        (("/srv/a", "/srv/b", "--report", "/nowhere/report"), "cannot be written"),
        (("/srv/a", "/srv/b", "--links", "perhaps"), "links"),
        (tuple(f"/srv/{n}" for n in range(1001)), "at most 1,000 paths"),
    ],
)
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, args: tuple[str, ...], why: str) -> None:
    result = run("send", *args, *TO)
    assert (result.exit_code, api.heard) == (2, [])
    assert why in " ".join(result.stderr.replace("│", "").split())


def test_no_wait_returns_after_the_order(api: ScriptedApi, run: Run) -> None:
    play(api)
    result = run(*TWO, "--no-wait")
    assert (result.exit_code, result.stdout, len(api.heard)) == (0, f"REGISTERING {BATCH_ID}\n", 1)


def test_no_wait_as_json(api: ScriptedApi, run: Run) -> None:
    play(api)
    assert json.loads(run(*TWO, "--no-wait", "--json").stdout) == {"batch": batch("REGISTERING")}


def test_failed_members_are_named_by_code_and_can_be_retried(api: ScriptedApi, run: Run) -> None:
    failures = {"object_exists": 1, "worker_lost": 1}
    play(api, batch("DONE", counts=counts(failures, STORED=3, FILE_FAILED=1, DELIVERED=2, FAILED=1)))
    taken = {"code": "object_exists", "detail": "Other bytes are there."}
    api.script(FAILED_FILES, page("files", file("FAILED", error={"code": "worker_lost", "detail": "It died."})))
    api.script(FAILED_DELIVERIES, page("deliveries", delivery("FAILED", object_name="a\n", error=taken)))
    result = run(*TWO)
    assert (result.exit_code, result.stdout) == (1, SUMMARY)
    assert result.stderr.splitlines()[-4:] == [
        "2 failed (1 object_exists, 1 worker_lost):",
        "  object_exists a\\n to archive: Other bytes are there.",
        "  worker_lost run42.h5: It died.",
        f"FAILED {BATCH_ID} 2 failed. Then: gridhaul retry {BATCH_ID}",
    ]


def test_only_the_first_members_are_named_and_how_to_see_all(api: ScriptedApi, run: Run) -> None:
    play(api, batch("DONE", counts=counts({"object_exists": 1200}, STORED=1200, FAILED=1200)))
    taken = {"code": "object_exists", "detail": "Other bytes are there."}
    fail(api, *[delivery("FAILED", error=taken)] * 20)
    told = run(*TWO).stderr.splitlines()
    assert "1,200 failed (1,200 object_exists); the first 20:" in told
    assert told[-2] == f"All of them: gridhaul batch {BATCH_ID} --report FILE.jsonl"


def test_all_failures_are_counted_although_only_some_have_their_code_counted(api: ScriptedApi, run: Run) -> None:
    play(api, batch("DONE", counts=counts({"object_exists": 10_000}, STORED=50_000, FAILED=50_000)))
    fail(api, *[delivery("FAILED", error={"code": "object_exists", "detail": "Other bytes are there."})] * 20)
    told = run(*TWO).stderr.splitlines()
    assert "50,000 failed (among them 10,000 object_exists); the first 20:" in told
    assert told[-1].startswith(f"FAILED {BATCH_ID} 50,000 failed.")


def test_batch_that_waits_only_for_paused_members_says_so(api: ScriptedApi, run: Run) -> None:
    for path in (SENT, QUEUED):
        api.script(path, page("deliveries"))
    for path in (STORING, REGISTERED):
        api.script(path, page("files"))
    take(api, batch("RUNNING", counts=counts(STORED=3, FILE_PAUSED=1, DELIVERED=2, PAUSED=1)), batch("DONE"))
    waits = f"2 paused; to see them: gridhaul ls --batch {BATCH_ID} --state PAUSED; to go on: gridhaul resume ID"
    assert run(*TWO).stderr.splitlines()[1].endswith(f"waiting: {waits}")


@pytest.mark.parametrize(("code", "exit_code"), [("object_exists", 1), ("source_changed", 3), ("target_mismatch", 3)])
def test_failure_exits_by_its_kind(api: ScriptedApi, run: Run, code: str, exit_code: int) -> None:
    play(api, batch("DONE", counts=counts({"worker_lost": 1, code: 1}, STORED=2, FAILED=2)))
    fail(api)
    assert run(*TWO).exit_code == exit_code


@pytest.mark.parametrize(
    ("skipped", "stored", "options", "exit_code"),
    [
        ({"link": 1}, 4, (), 1),
        ({"link": 1}, 4, ("--links", "skip"), 0),
        ({"link": 1, "source_unreadable": 1}, 4, ("--links", "skip"), 1),
        ({"link_broken": 1}, 4, ("--links", "follow"), 1),
        ({"empty_folder": 1}, 4, (), 0),
        ({"vanished": 1}, 4, ("--update",), 0),
        ({"source_missing": 1}, 4, (), 1),
        ({"source_missing": 1, "no_match": 1}, 0, (), 4),
    ],
)
def test_skipped_path_fails_unless_a_rule_says_so(
    api: ScriptedApi, run: Run, skipped: dict[str, int], stored: int, options: tuple[str, ...], exit_code: int
) -> None:
    found = {"STORED": stored, "DELIVERED": stored} if stored else {}
    play(api, batch("DONE", counts=counts(None, skipped, **found)))
    api.script(SKIPPED, page("skipped", LINK))
    result = run(*TWO, *options)
    assert result.exit_code == exit_code
    assert "  link /srv/a/latest: Links are not followed.\n" in result.stderr
    assert result.stderr.splitlines()[-1].startswith(f"INCOMPLETE {BATCH_ID} ") == (exit_code != 0)


def test_cancelled_batch_fails_and_can_be_retried(api: ScriptedApi, run: Run) -> None:
    play(api, batch("CANCELLED", counts=counts(FILE_CANCELLED=4)))
    result = run(*TWO)
    assert (result.exit_code, result.stdout) == (1, "")
    told = f"FAILED {BATCH_ID} the batch is CANCELLED. Then: gridhaul retry {BATCH_ID}"
    assert result.stderr.splitlines()[-1] == told


def test_member_that_was_cancelled_is_missing(api: ScriptedApi, run: Run) -> None:
    play(api, batch("DONE", counts=counts(STORED=4, DELIVERED=3, CANCELLED=1)))
    result = run(*TWO)
    assert (result.exit_code, "1 cancelled. Then: gridhaul retry" in result.stderr) == (1, True)


def test_registering_that_ended_early_is_told(api: ScriptedApi, run: Run) -> None:
    error = {"code": "quota_exceeded", "detail": "The quota is used up."}
    play(api, batch("DONE", error=error))
    result = run(*TWO)
    assert result.exit_code == 1
    assert f"FAILED {BATCH_ID} quota_exceeded: The quota is used up. Then: gridhaul retry" in result.stderr


def test_json_prints_one_object_and_nothing_else(api: ScriptedApi, run: Run) -> None:
    done = batch("DONE", counts=counts({"object_exists": 1}, {"link": 1}, STORED=4, DELIVERED=3, FAILED=1))
    play(api, done)
    fail(api, delivery("FAILED"))
    api.script(SKIPPED, page("skipped", LINK))
    result = run(*TWO, "--json")
    failed = {"files": [], "deliveries": [delivery("FAILED")]}
    assert json.loads(result.stdout) == {"batch": done, "failed": failed, "skipped": [LINK]}
    assert result.exit_code == 1


def test_reason_to_wait_is_that_of_the_batch_or_of_a_member(api: ScriptedApi, run: Run) -> None:
    away = {"code": "target_unavailable", "detail": "The target answered 503."}
    none = {"code": "no_worker", "detail": "No worker has answered."}
    api.script(SENT, page("deliveries"))
    api.script(STORING, page("files"))
    api.script(QUEUED, page("deliveries", delivery("QUEUED", waiting=away)))
    api.script(REGISTERED, page("files"))
    some = counts(STORED=4, DELIVERED=2, QUEUED=2)
    waits = "waiting: target_unavailable: the target answered 503"
    take(api, batch("REGISTERING", waiting=none), batch("RUNNING", counts=some), batch("PAUSED"), batch("DONE"))
    assert run(*TWO).stderr.splitlines()[1:-1] == [
        "REGISTERING; waiting: no_worker: no worker has answered",
        f"SENDING 6.0 MiB of 8.0 MiB; 4 of 4 files stored, 2 delivered; {waits}",
        f"PAUSED; waiting: the batch is paused; to go on: gridhaul resume {BATCH_ID}",
    ]


@pytest.mark.parametrize(
    ("status", "code", "exit_code", "told"),
    [
        (403, "path_not_allowed", 5, "On the server, FILE is /srv/a, /srv/b."),
        (422, "target_unknown", 2, "--to is archive; an operator names targets in targets.toml"),
        (422, "pattern_invalid", 2, "No."),
        (409, "options_conflict", 1, "No."),
    ],
)
def test_refused_batch_exits_by_its_status(
    api: ScriptedApi, run: Run, status: int, code: str, exit_code: int, told: str
) -> None:
    api.script(START, problem(status, code, "No."))
    result = run(*TWO)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.startswith(f"ERROR {code}: No.")
    assert told in result.stderr


def test_dry_run_ends_with_the_plan_and_how_to_start_it(api: ScriptedApi, run: Run) -> None:
    away = {"code": "target_unavailable", "detail": "The target answered 503."}
    plan = {
        "files": 3,
        "bytes": 4096,
        "largest": [{"path": "/srv/a/x.h5", "length": 4000}],
        "existing": {"archive": 2},
        "quota_free_bytes": 1 << 30,
        "target_free_bytes": {"archive": 1 << 40},
        "errors": {"mirror": away},
    }
    play(api, batch("PLANNING"), batch("PLANNED", plan=plan))
    result = run("send", "/srv/a", *TO, "--dry-run")
    assert (result.exit_code, order(api)["dry_run"]) == (0, True)
    assert result.stdout.splitlines() == [
        f"PLANNED {BATCH_ID} 3 files 4096 bytes",
        "  largest     3.9 KiB /srv/a/x.h5",
        "  exist       2 of the names at archive",
        "  free        1.0 GiB of the quota",
        "  free        1.0 TiB at archive",
        "  not seen    mirror: target_unavailable: The target answered 503.",
        f"  start it    gridhaul batch {BATCH_ID} --start --follow",
    ]
    api.script(f"POST /batches/{BATCH_ID}/start", batch("REGISTERING"))
    assert run("batch", BATCH_ID, "--start").exit_code == 0
    assert len(api.calls(f"POST /batches/{BATCH_ID}/start")) == 1


def test_trouble_while_following_says_how_to_look_again(api: ScriptedApi, run: Run) -> None:
    play(api, problem(401, "unauthorized", "The token is no longer valid."))
    result = run(*TWO)
    assert result.exit_code == 5
    assert f"look with: gridhaul batch {BATCH_ID} --follow" in result.stderr


def test_report_and_digests_are_written(api: ScriptedApi, run: Run, tmp_path: Path) -> None:
    skips = counts(None, {"link": 1}, STORED=1, DELIVERED=1)
    play(api, batch("DONE", counts=skips))
    api.script(SKIPPED, page("skipped", LINK))
    api.script(f"GET /batches/{BATCH_ID}/skipped?limit=1000", page("skipped", LINK))
    by_name = f"GET /files?batch={BATCH_ID}&order=name&limit=1000"
    first = {**page("files", file("STORED", name="a")), "next_cursor": FILE_ID}
    api.script(by_name, first)
    failed = file("FAILED", name="b", file_id="0" * 24, error={"code": "source_changed", "detail": "It changed."})
    api.script(f"{by_name}&cursor={FILE_ID}", page("files", failed))
    other = delivery("FAILED", target="mirror")
    api.script(f"GET /deliveries?batch={BATCH_ID}&limit=1000", page("deliveries", delivery("DELIVERED"), other))
    api.script(f"GET /batches/{BATCH_ID}/sha256sums", Answer(body="the digests"))
    report, digests = tmp_path / "report.jsonl", tmp_path / "SHA256SUMS"
    result = run(*TWO, "--links", "skip", "--report", str(report), "--sha256sums", str(digests))
    assert result.exit_code == 0, result.stderr
    stored, second, skipped = map(json.loads, report.read_text().splitlines())
    assert [stored[name] for name in ("name", "path", "state", "sha256")] == ["a", "/srv/run42.h5", "STORED", "ab" * 32]
    assert [(one["target"], one["state"], one["location"]) for one in stored["deliveries"]] == [
        ("archive", "DELIVERED", "https://archive.example/run42.h5"),
        ("mirror", "FAILED", None),
    ]
    assert (second["error"]["code"], second["sha256"], second["deliveries"]) == ("source_changed", None, [])
    assert skipped == {**LINK, "state": "SKIPPED"}
    assert digests.read_text() == '"the digests"'


def test_batch_is_followed_with_one_look_a_second_at_most(api: ScriptedApi, run: Run) -> None:
    play(api, *[batch("RUNNING")] * 9, batch("DONE"))
    assert run(*TWO).exit_code == 0
    heard = [one.at for one in api.calls(THE_BATCH)]
    assert len(heard) == 10
    assert heard[-1] - heard[-2] > 0.9

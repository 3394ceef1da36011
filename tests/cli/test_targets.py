"""`gridhaul targets`."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import Answer, ScriptedApi, problem

LIST = "GET /targets"
GET, PROBE = "GET /targets/archive", "POST /targets/archive/probe"
ABLE = {
    "atomic": True,
    "exclusive": True,
    "durable": True,
    "resumable": True,
    "digest": "sha-256",
    "free_space": True,
}
UNABLE = {**dict.fromkeys(ABLE, False), "digest": None}
SEEN_AT, NEXT_AT = "2026-11-29T17:41:00Z", "2026-11-30T17:41:00Z"
REPLACED = "  exclusive: no, an object that takes the name in the last moment is replaced"
SILENT = {"code": "target_unavailable", "detail": "The target did not answer."}


def target(**changes: Any) -> dict[str, Any]:
    shown = {"name": "archive", "kind": "webdav", "allow_overwrite_race": False, "state": "WAITING", "abilities": ABLE}
    times = {"seen_at": SEEN_AT, "outdated": False, "tried_at": SEEN_AT, "error": None, "next_probe_at": NEXT_AT}
    return {**shown, **times, "waiting": None, "links": {}, **changes}


def listed(api: ScriptedApi, *targets: dict[str, Any]) -> None:
    api.script(LIST, {"targets": list(targets)})


def asked(api: ScriptedApi) -> None:
    api.script(PROBE, Answer(body=target(tried_at=None), status=202))


def test_abilities_are_told_in_words(api: ScriptedApi, run: Run) -> None:
    listed(api, target())
    result = run("targets", "list")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"archive (webdav), seen {SEEN_AT}",
        "  atomic: yes, nobody sees a part of an object under its name",
        "  exclusive: yes, an object that takes the name in the last moment stays",
        "  durable: yes, what the target has taken is on its disk",
        "  goes on after an interruption: yes, with what it has received",
        "  checked: by the SHA-256 that the target tells",
        "  free space: told",
    ]


def test_promises_that_are_not_made_are_told_in_words(api: ScriptedApi, run: Run) -> None:
    listed(api, target(abilities=UNABLE))
    assert run("targets", "list").stdout.splitlines()[1:] == [
        "  atomic: no, somebody may see a part of an object under its name while it is written",
        f"{REPLACED}; deliveries with the policies fail and rename are refused unless allow_overwrite_race is set",
        "  durable: not known, the target does not tell when an object is on its disk",
        "  goes on after an interruption: no, it begins anew",
        "  checked: by reading back",
        "  free space: not told",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"abilities": UNABLE, "allow_overwrite_race": True},
            f"{REPLACED}; allow_overwrite_race is set, so the name is only looked at right before",
        ),
        (
            {"abilities": UNABLE, "allow_overwrite_race": None, "kind": "http"},
            REPLACED,
        ),
        ({"kind": "s3"}, "  checked: by SHA-256 of the parts"),
        ({"kind": "s3", "abilities": {**ABLE, "digest": "md5"}}, "  checked: by MD5 of the parts"),
        ({"abilities": None, "seen_at": None}, "archive (webdav), not seen yet"),
        ({"outdated": True}, f"archive (webdav), seen {SEEN_AT}; since then it has done something else"),
        (
            {"error": SILENT},
            f"  last try {SEEN_AT}: target_unavailable: the target did not answer; the next try is due {NEXT_AT}",
        ),
        (
            {"waiting": {"code": "no_worker", "detail": "No worker takes maintenance."}},
            "  waits: no worker takes maintenance",
        ),
        ({"state": "RETIRED"}, "  is not probed: another api of this system has no such target; restart it"),
    ],
)
def test_what_is_special_has_its_words(api: ScriptedApi, run: Run, changes: dict[str, Any], line: str) -> None:
    listed(api, target(**changes))
    assert line in run("targets", "list").stdout.splitlines()


def test_text_of_a_target_cannot_control_the_terminal(api: ScriptedApi, run: Run) -> None:
    listed(api, target(error={"code": "target_refused", "detail": "\x1b[2J"}))
    assert "\x1b" not in run("targets", "list").stdout


def test_json_is_one_target_a_line(api: ScriptedApi, run: Run) -> None:
    targets = [target(), target(name="mirror")]
    listed(api, *targets)
    assert [json.loads(line) for line in run("targets", "list", "--json").stdout.splitlines()] == [
        {"target": one} for one in targets
    ]


def test_test_waits_for_the_probe_and_shows_what_was_seen(api: ScriptedApi, run: Run) -> None:
    asked(api)
    api.script(GET, target(tried_at=None), target(tried_at=None, state="PROBING"), target())
    result = run("targets", "test", "archive")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"archive (webdav), seen {SEEN_AT}\n")
    assert [heard.call for heard in api.heard] == [PROBE, GET, GET, GET]


@pytest.mark.parametrize(
    ("code", "exit_code"), [("target_unavailable", 1), ("target_refused", 1), ("target_mismatch", 3)]
)
def test_test_of_a_target_that_fails_ends_with_its_error(api: ScriptedApi, run: Run, code: str, exit_code: int) -> None:
    asked(api)
    api.script(GET, target(error={"code": code, "detail": "It is so."}))
    result = run("targets", "test", "archive", "--json")
    assert result.exit_code == exit_code
    assert result.stderr == f"FAILED archive {code}: It is so.\n"
    assert json.loads(result.stdout)["target"]["error"]["code"] == code


def test_each_target_is_tested_once_although_one_is_unknown(api: ScriptedApi, run: Run) -> None:
    asked(api)
    api.script(GET, target())
    unknown = problem(422, "target_unknown", "There is no such target, or it is not allowed to you.")
    api.script("POST /targets/nowhere/probe", unknown)
    result = run("targets", "test", "nowhere", "archive", "archive")
    assert result.exit_code == 2
    assert result.stderr == ("ERROR nowhere target_unknown: There is no such target, or it is not allowed to you.\n")
    assert result.stdout.startswith("archive (webdav)")
    assert len(api.calls(PROBE)) == 1


def test_reason_why_nobody_probes_is_said_once(api: ScriptedApi, run: Run) -> None:
    asked(api)
    waits = target(tried_at=None, waiting={"code": "no_worker", "detail": "No worker takes maintenance."})
    api.script(GET, waits, waits, target())
    assert run("targets", "test", "archive").stderr == "archive waits: no worker takes maintenance\n"


@pytest.mark.parametrize("args", [("test",), ("test", ".."), ("test", "a/b"), ("test", "A"), ("list", "archive")])
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, args: tuple[str, ...]) -> None:
    assert run("targets", *args).exit_code == 2
    assert api.heard == []


@pytest.mark.parametrize("args", [("list",), ("test", "archive")])
def test_missing_scope_is_told(api: ScriptedApi, run: Run, args: tuple[str, ...]) -> None:
    refused = problem(403, "forbidden", "The token does not have the scope.")
    api.script(LIST, refused)
    api.script(PROBE, refused)
    assert run("targets", *args).exit_code == 5

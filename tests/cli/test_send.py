"""`gridhaul send`: its requests to the api, its output and its exit codes."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import (
    DELIVERY_ID,
    FILE_ID,
    ITS_DELIVERIES,
    MIB,
    PREPARE,
    SHA256,
    THE_DELIVERY,
    THE_FILE,
    TOKEN,
    Answer,
    ScriptedApi,
    deliveries,
    delivery,
    file,
    problem,
    receipt,
)

SEND = ("send", "/srv/run42.h5", "--to", "archive")


def accept(api: ScriptedApi) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED"), status=202))


def play(api: ScriptedApi, last_file: dict[str, object], *last_deliveries: dict[str, object]) -> None:
    accept(api)
    api.script(THE_FILE, last_file)
    api.script(ITS_DELIVERIES, deliveries(*last_deliveries))


def test_delivered_file_ends_with_its_proof(api: ScriptedApi, run: Run) -> None:
    accept(api)
    api.script(THE_FILE, file("REGISTERED"), file("STORING", stored_bytes=MIB, rate=MIB), file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(), deliveries(delivery("STREAMING", sent_bytes=2 * MIB)))
    api.script(THE_DELIVERY, delivery("STREAMING", sent_bytes=4 * MIB, checked_bytes=MIB), delivery("DELIVERED"))
    result = run(*SEND)
    assert result.exit_code == 0
    assert result.stdout == f"DELIVERED {FILE_ID} {4 * MIB} sha-256={SHA256} https://archive.example/run42.h5\n"
    assert result.stderr.splitlines() == [
        f"file {FILE_ID} run42.h5 (4.0 MiB)",
        "REGISTERED 0 B of 4.0 MiB",
        "STORING 1.0 MiB of 4.0 MiB, 1.0 MiB/s, 3 s left",
        "STORED 4.0 MiB of 4.0 MiB",
        "STREAMING 2.0 MiB of 4.0 MiB",
        "READING BACK 1.0 MiB of 4.0 MiB",
        "DELIVERED 4.0 MiB of 4.0 MiB",
    ]


def test_request_names_absolute_path_and_destination(
    api: ScriptedApi, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    play(api, file("STORED"), delivery("DELIVERED"))
    options = ("--name", "2026/run.h5", "--if-exists", "rename", "--if-changed", "restart")
    assert run("send", "a/../run42.h5", "--to", "archive", *options).exit_code == 0
    (heard,) = api.calls(PREPARE)
    assert json.loads(heard.body) == {
        "file_path": os.path.join(os.getcwd(), "run42.h5"),  # noqa: PTH109, PTH118 - the command joins the path in this way
        "deliver_to": {"target": "archive", "object_name": "2026/run.h5", "if_exists": "rename"},
        "if_changed": "restart",
    }
    assert heard.headers["authorization"] == f"Bearer {TOKEN}"


def test_delivery_to_another_target_is_not_ours(api: ScriptedApi, run: Run) -> None:
    accept(api)
    api.script(THE_FILE, file("STORED"))
    other = delivery("FAILED", target="elsewhere", delivery_id="0" * 24)
    api.script(ITS_DELIVERIES, deliveries(other), deliveries(other, delivery("DELIVERED")))
    assert run(*SEND).exit_code == 0


def test_json_prints_one_object_and_nothing_else(api: ScriptedApi, run: Run) -> None:
    play(api, file("STORED"), delivery("DELIVERED"))
    result = run(*SEND, "--json")
    assert json.loads(result.stdout) == {"file": file("STORED"), "delivery": delivery("DELIVERED")}
    assert result.exit_code == 0


def test_json_of_a_failure_is_printed_too(api: ScriptedApi, run: Run) -> None:
    play(api, file("FAILED", error={"code": "source_changed", "detail": "It changed."}))
    result = run(*SEND, "--json")
    assert json.loads(result.stdout)["delivery"] is None
    assert result.exit_code == 3


def test_no_wait_returns_after_prepare(api: ScriptedApi, run: Run) -> None:
    accept(api)
    result = run(*SEND, "--no-wait")
    assert (result.exit_code, result.stdout) == (0, f"REGISTERED {FILE_ID} {4 * MIB}\n")
    assert [heard.call for heard in api.heard] == [PREPARE]


def test_no_wait_as_json(api: ScriptedApi, run: Run) -> None:
    accept(api)
    result = run(*SEND, "--no-wait", "--json")
    assert json.loads(result.stdout) == {"file": file("REGISTERED"), "delivery": None}


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("worker_lost", 1),
        ("chunk_corrupt", 3),
        ("chunk_missing", 3),
        ("content_mismatch", 3),
        ("target_mismatch", 3),
        ("digest_mismatch", 3),
        ("integrity", 3),
        ("source_changed", 3),
    ],
)
def test_failed_transfer_says_why_and_exits_by_its_kind(api: ScriptedApi, run: Run, code: str, exit_code: int) -> None:
    play(api, file("STORED"), delivery("FAILED", error={"code": code, "detail": "So it is."}))
    result = run(*SEND)
    assert result.exit_code == exit_code
    assert result.stderr.splitlines()[-1].startswith(f"FAILED {FILE_ID} {code}: So it is. Then: gridhaul ")
    assert result.stdout == ""


def test_refused_path_is_named(api: ScriptedApi, run: Run) -> None:
    api.script(PREPARE, problem(404, "source_missing", "The server has no file at the path of the source."))
    result = run(*SEND)
    assert result.exit_code == 4
    assert "at the path of the source. FILE is /srv/run42.h5 on the server." in result.stderr


@pytest.mark.parametrize("state", ["CANCELLED", "DELETED"])
def test_file_that_was_given_up_ends_the_wait(api: ScriptedApi, run: Run, state: str) -> None:
    play(api, file(state))
    result = run(*SEND)
    assert result.exit_code == 1
    assert f"FAILED {FILE_ID} {state.lower()}: The transfer was {state.lower()}." in result.stderr


@pytest.mark.parametrize(
    ("status", "code", "exit_code"),
    [
        (400, "malformed", 2),
        (401, "unauthorized", 5),
        (403, "path_not_allowed", 5),
        (404, "source_missing", 4),
        (409, "options_conflict", 1),
        (409, "source_changed", 3),
        (422, "target_unknown", 2),
        (500, "internal", 1),
        (507, "quota_exceeded", 1),
    ],
)
def test_refused_request_exits_by_its_status(
    api: ScriptedApi, run: Run, status: int, code: str, exit_code: int
) -> None:
    api.script(PREPARE, problem(status, code, "No."))
    result = run(*SEND)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.startswith(f"ERROR {code}: ")


def test_reason_to_wait_is_shown(api: ScriptedApi, run: Run) -> None:
    accept(api)
    waiting = {"code": "storage_full", "detail": "No space is left."}
    api.script(THE_FILE, file("REGISTERED"), file("REGISTERED", error=waiting), file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("DELIVERED")))
    assert "REGISTERED 0 B of 4.0 MiB; waiting: storage_full: no space is left\n" in run(*SEND).stderr


def planned(now: str, **changes: object) -> Answer:
    """Return the answer that the api gives at `now`, by its own clock, while a delivery waits for its next attempt."""
    refusal = {"code": "target_unavailable", "detail": "The target answered 503."}
    waits = {"error": refusal, "waiting": refusal, "next_attempt_at": "2026-11-21T03:01:00.25Z"}
    record = delivery("QUEUED", **(waits | changes))
    return Answer(body=record, headers={"Date": f"Sat, 21 Nov 2026 {now} GMT"})


def test_next_attempt_is_announced_once_and_by_the_servers_clock(api: ScriptedApi, run: Run) -> None:
    accept(api)
    api.script(THE_FILE, file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("QUEUED")))
    later = planned("03:01:01", next_attempt_at="2026-11-21T03:03:01Z")
    api.script(THE_DELIVERY, planned("03:00:20"), planned("03:00:21"), later, delivery("DELIVERED"))
    waiting = [line.partition("; ")[2] for line in run(*SEND).stderr.splitlines() if "waiting" in line]
    why = "waiting: target_unavailable: the target answered 503; next attempt in"
    assert waiting == [f"{why} 40 s", f"{why} 2 min 00 s"]


def no_worker(seconds: int) -> dict[str, str]:
    detail = f"No worker has answered for {seconds} s (queue: small); start one, or look at its log."
    return {"code": "no_worker", "detail": detail}


def test_obstacle_is_shown_once_and_before_the_last_error(api: ScriptedApi, run: Run) -> None:
    accept(api)
    error = {"code": "storage_full", "detail": "No space is left."}
    looks = [file("REGISTERED", waiting=no_worker(seconds), error=error) for seconds in (20, 21)]
    api.script(THE_FILE, *looks, file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("DELIVERED")))
    waiting = [line for line in run(*SEND).stderr.splitlines() if "waiting" in line]
    why = "no worker has answered for 20 s (queue: small); start one, or look at its log"
    assert waiting == [f"REGISTERED 0 B of 4.0 MiB; waiting: {why}"]


def test_paused_transfer_is_waited_for(api: ScriptedApi, run: Run) -> None:
    accept(api)
    api.script(THE_FILE, file("PAUSED"), file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("DELIVERED")))
    result = run(*SEND)
    assert result.exit_code == 0
    waits = f"PAUSED 0 B of 4.0 MiB; waiting: the transfer is paused; to go on: gridhaul resume {FILE_ID}\n"
    assert waits in result.stderr


def test_paused_delivery_is_waited_for(api: ScriptedApi, run: Run) -> None:
    accept(api)
    api.script(THE_FILE, file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("PAUSED")))
    api.script(THE_DELIVERY, delivery("DELIVERED"))
    result = run(*SEND)
    assert result.exit_code == 0
    assert f"to go on: gridhaul resume {DELIVERY_ID}\n" in result.stderr


def test_cancelled_delivery_ends_the_wait(api: ScriptedApi, run: Run) -> None:
    play(api, file("STORED"), delivery("CANCELLED"))
    result = run(*SEND)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"FAILED {FILE_ID} cancelled: The transfer was cancelled." in result.stderr


def test_trouble_while_following_says_how_to_look_again(api: ScriptedApi, run: Run) -> None:
    accept(api)
    api.script(THE_FILE, problem(401, "unauthorized", "The token is no longer valid."))
    result = run(*SEND)
    assert result.exit_code == 5
    assert f"gridhaul status {FILE_ID}" in result.stderr


def test_api_that_restarts_is_waited_for(api: ScriptedApi, run: Run) -> None:
    accept(api)
    api.script(THE_FILE, problem(503, "database_unavailable", "Later.", Retry_After="0"), file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("DELIVERED")))
    result = run(*SEND)
    assert result.exit_code == 0
    assert "waiting: database_unavailable: Later.\n" in result.stderr


def test_control_characters_of_others_are_escaped(api: ScriptedApi, run: Run) -> None:
    api.script(PREPARE, Answer(body=file("REGISTERED", name="a\x1b[31m\u202e[bold]b"), status=202))
    api.script(THE_FILE, file("STORED"))
    place = receipt(location="https://archive.example/\x1b]0;x\x07")
    api.script(ITS_DELIVERIES, deliveries(delivery("DELIVERED", receipt=place)))
    result = run(*SEND)
    assert "a\\x1b[31m\\u202e[bold]b" in result.stderr
    assert result.stdout.endswith(" https://archive.example/\\x1b]0;x\\x07\n")


@pytest.mark.parametrize(
    "args", [("send",), ("send", "x"), (*SEND, "--if-exists", "perhaps"), ("send", "\udcff", "--to", "archive")]
)
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2
    assert api.heard == []


@pytest.mark.parametrize(
    ("name", "value"), [("GRIDHAUL_URL", "archive.example"), ("GRIDHAUL_TOKEN", "two words"), ("GRIDHAUL_TOKEN", None)]
)
def test_wrong_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    result = run(*SEND)
    assert result.exit_code == 2
    assert name in result.stderr

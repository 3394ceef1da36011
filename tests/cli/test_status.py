"""`gridhaul status`, `--version` and `--help`."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from gridhaul import __version__
from gridhaul.cli import app as app_module
from gridhaul.transfer.model import Evidence
from tests.cli.conftest import Run
from tests.cli.scripted_api import (
    DELIVERY_ID,
    FILE_ID,
    ITS_DELIVERIES,
    SHA256,
    THE_DELIVERY,
    THE_FILE,
    Answer,
    ScriptedApi,
    deliveries,
    delivery,
    file,
    problem,
    receipt,
)

SINCE = "2026-11-21T03:00:00Z"


def test_file_is_shown_with_its_deliveries(api: ScriptedApi, run: Run) -> None:
    failed = delivery("FAILED", target="b", error={"code": "target_refused", "detail": "Not\x1b[2J here."})
    api.script(THE_FILE, file("STORED", name="[red]run\n42"))
    api.script(ITS_DELIVERIES, deliveries(delivery("DELIVERED"), failed))
    api.script(THE_DELIVERY, delivery("DELIVERED"), failed)
    result = run("status", FILE_ID.upper())
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"file {FILE_ID} STORED",
        "  name      [red]run\\n42 (application/x-hdf5)",
        "  source    /srv/run42.h5",
        "  mtime     2026-11-20T17:30:00Z",
        "  length    4194304 bytes (4.0 MiB), 4 chunks, gridfs",
        "  to        archive: run42.h5",
        "  stored    4.0 MiB of 4.0 MiB",
        f"  sha-256   {SHA256}",
        "  attempts  1",
        "  created   2026-11-21T03:00:00Z",
        "  updated   2026-11-21T03:00:01Z",
        f"delivery {DELIVERY_ID} DELIVERED",
        "  source    /srv/run42.h5",
        "  to        archive: run42.h5 (if it exists: fail)",
        "  sent      4.0 MiB of 4.0 MiB",
        "  attempts  1",
        "  created   2026-11-21T03:00:02Z",
        "  updated   2026-11-21T03:00:03Z",
        "  receipt   delivered 2026-11-21T03:00:03Z, after 1 attempt",
        "    location  https://archive.example/run42.h5",
        "    length    4194304 bytes",
        f"    sha-256   {SHA256}",
        "    mtime     2026-11-20T17:30:00Z (the object has it, too)",
        "    mode      0640 (of the source alone)",
        "    commit    atomic: the object got its name as a whole, once it was checked",
        "    evidence  read-back: the object was read back from the target, and its SHA-256 was compared",
        f"delivery {DELIVERY_ID} FAILED",
        "  source    /srv/run42.h5",
        "  to        b: run42.h5 (if it exists: fail)",
        "  sent      0 B of 4.0 MiB",
        "  attempts  1",
        "  error     target_refused: Not\\x1b[2J here.",
        "  created   2026-11-21T03:00:02Z",
        "  updated   2026-11-21T03:00:03Z",
    ]


def test_obstacles_of_file_and_delivery_are_shown(api: ScriptedApi, run: Run) -> None:
    obstacle = {"code": "no_worker", "detail": "No worker has answered for 20 s (queue: small); start one."}
    api.script(THE_FILE, file("REGISTERED", waiting=obstacle))
    api.script(ITS_DELIVERIES, deliveries(delivery("QUEUED", waiting=obstacle)))
    api.script(THE_DELIVERY, delivery("QUEUED", waiting=obstacle))
    shown = run("status", FILE_ID).stdout
    assert shown.count("\n  waiting   no worker has answered for 20 s (queue: small); start one\n") == 2


def test_next_attempt_is_told_and_its_reason_not_twice(api: ScriptedApi, run: Run) -> None:
    away = {"code": "target_unavailable", "detail": "The target does not answer."}
    soon = (datetime.now(UTC) + timedelta(seconds=185)).isoformat()
    times = {"waiting_since": "2026-11-21T03:00:00Z", "next_attempt_at": soon}
    api.script(THE_DELIVERY, delivery("QUEUED", error=away, waiting=away, **times))
    lines = run("status", DELIVERY_ID).stdout.splitlines()
    told = [line for line in lines if "attempt in" in line or "since" in line or "answer" in line]
    assert told[:2] == ["  error     target_unavailable: The target does not answer.", f"  since     {SINCE}"]
    assert told[2].startswith("  next attempt in 3 min 0")


@pytest.mark.parametrize("evidence", Evidence)
def test_each_evidence_has_its_meaning(api: ScriptedApi, run: Run, evidence: Evidence) -> None:
    api.script(THE_DELIVERY, delivery("DELIVERED", receipt=receipt(evidence=evidence, atomic_commit=False)))
    shown = run("status", DELIVERY_ID).stdout
    assert f"    evidence  {evidence}: " in shown
    assert "see the documentation" not in shown
    assert "    commit    not atomic: the object was written straight to its name\n" in shown


def test_leftovers_that_cannot_be_removed_are_named(api: ScriptedApi, run: Run) -> None:
    left = ["in/.gridhaul-1.part", "in/\x1b2.part"]
    why = {"code": "target_refused", "detail": "The target answered 405."}
    api.script(THE_DELIVERY, delivery("FAILED", leftovers=left, cleaning_error=why))
    shown = run("status", DELIVERY_ID).stdout.splitlines()
    assert [line for line in shown if "cleaned" in line] == [
        "  not cleaned up yet: in/.gridhaul-1.part (target_refused: The target answered 405.)",
        "  not cleaned up yet: in/\\x1b2.part (target_refused: The target answered 405.)",
    ]


def test_object_that_was_given_up_is_shown(api: ScriptedApi, run: Run) -> None:
    why = {"code": "target_refused", "detail": "The target keeps 'run42.h5'."}
    api.script(THE_DELIVERY, delivery("FAILED", cleaning_error=why))
    assert "\n  not cleaned up: target_refused: The target keeps 'run42.h5'.\n" in run("status", DELIVERY_ID).stdout


def test_receipt_tells_what_was_sent_again_and_what_the_target_cannot_promise(api: ScriptedApi, run: Run) -> None:
    abilities = {"atomic": True, "exclusive": False, "durable": False, "resumable": True, "digest": None}
    told = receipt(
        abilities={**abilities, "free_space": False}, checked="after-commit", length=10, sent_in_attempts=[4, 8]
    )
    api.script(THE_DELIVERY, delivery("DELIVERED", receipt=told))
    shown = run("status", DELIVERY_ID).stdout
    assert "atomic: the object got its name as a whole, and was checked under that name; an object that took" in shown
    assert "sent      4 + 8 bytes in 2 attempts, 2 of them again" in shown


def test_lost_object_is_shown_with_the_command_that_delivers_it_again(api: ScriptedApi, run: Run) -> None:
    lost = {"code": "object_missing", "detail": "No object is under the name."}
    former = receipt(object_error={"code": "object_differs", "detail": "It has another SHA-256."})
    api.script(THE_DELIVERY, delivery("DELIVERED", object_error=lost, former_receipts=[former]))
    shown = run("status", DELIVERY_ID).stdout.splitlines()
    why = f"object_missing: no object is under the name; gridhaul retry {DELIVERY_ID} delivers it again"
    assert f"  object    {why}" in shown
    (before,) = [line for line in shown if line.startswith("  before    delivered ")]
    assert before.endswith(", then object_differs: it has another SHA-256")


def test_leftovers_that_no_cleaning_has_tried_yet_are_not_shown(api: ScriptedApi, run: Run) -> None:
    api.script(THE_DELIVERY, delivery("STREAMING", leftovers=[".gridhaul-1.part"]))
    assert ".part" not in run("status", DELIVERY_ID).stdout


def _event(state: str, revision: int, **changes: object) -> dict[str, object]:
    time = f"2026-11-21T03:{revision:02}:00Z"
    return {"time": time, "state": state, "code": None, "attempt": 1, "who": None, "revision": revision} | changes


def test_history_is_shown_last_and_newest_last(api: ScriptedApi, run: Run) -> None:
    of_file = [
        _event("REGISTERED", 1, attempt=0),
        _event("STORING", 2),
        _event("REGISTERED", 3, code="read_error"),
        _event("PAUSED", 4, who="al\x1b[2Jice"),
    ]
    api.script(THE_FILE, file("PAUSED", history=of_file))
    api.script(ITS_DELIVERIES, deliveries(delivery("QUEUED")))
    api.script(THE_DELIVERY, delivery("QUEUED", history=[_event("QUEUED", 1, attempt=0)]))
    lines = run("status", FILE_ID).stdout.splitlines()
    first = lines.index("  history")
    assert lines[first : first + 6] == [
        "  history",
        "    2026-11-21T03:01:00Z  REGISTERED",
        "    2026-11-21T03:02:00Z  STORING     attempt 1",
        "    2026-11-21T03:03:00Z  REGISTERED  attempt 1  read_error",
        "    2026-11-21T03:04:00Z  PAUSED      attempt 1  by al\\x1b[2Jice",
        f"delivery {DELIVERY_ID} QUEUED",
    ]
    assert lines[-2:] == ["  history", "    2026-11-21T03:01:00Z  QUEUED"]


def test_long_history_shows_its_end_and_counts_the_rest(api: ScriptedApi, run: Run) -> None:
    kept = [*range(1, 6), *range(16, 61)]
    api.script(THE_DELIVERY, delivery("QUEUED", history=[_event("QUEUED", n, who=f"user{n}") for n in kept]))
    lines = run("status", DELIVERY_ID).stdout.splitlines()
    assert lines[-11] == "    50 earlier; --json shows those that are kept"
    assert [line.split()[-1] for line in lines[-10:]] == [f"user{n}" for n in range(51, 61)]


def test_id_of_a_delivery_shows_the_delivery(api: ScriptedApi, run: Run) -> None:
    api.script(THE_DELIVERY, delivery("STREAMING", sent_bytes=1 << 20, rate=1 << 20))
    result = run("status", DELIVERY_ID)
    assert result.stdout.startswith(f"delivery {DELIVERY_ID} STREAMING\n")
    assert "  sent      1.0 MiB of 4.0 MiB, 1.0 MiB/s, 3 s left\n" in result.stdout


def test_json_of_a_file_and_of_a_delivery(api: ScriptedApi, run: Run) -> None:
    api.script(THE_FILE, file("STORED"))
    api.script(ITS_DELIVERIES, deliveries(delivery("QUEUED")))
    api.script(THE_DELIVERY, delivery("QUEUED"))
    of_file = json.loads(run("status", FILE_ID, "--json").stdout)
    of_delivery = json.loads(run("status", DELIVERY_ID, "--json").stdout)
    assert of_file == {"file": file("STORED"), "deliveries": [delivery("QUEUED")]}
    assert of_delivery == {"delivery": delivery("QUEUED")}


def test_wrong_address_is_no_unknown_id(api: ScriptedApi, run: Run) -> None:
    api.script(THE_FILE, Answer(body={"detail": "Not Found"}, status=404))
    result = run("status", FILE_ID)
    assert (result.exit_code, len(api.heard)) == (1, 1)
    assert "did not come from an api of Gridhaul" in result.stderr


def test_unknown_id_is_not_found(run: Run) -> None:
    result = run("status", "0" * 24)
    assert (result.exit_code, result.stdout, result.stderr) == (
        4,
        "",
        "ERROR not_found: There is no such file, delivery or batch.\n",
    )


def test_refused_token_is_not_taken_for_an_unknown_id(api: ScriptedApi, run: Run) -> None:
    api.script(THE_FILE, problem(401, "unauthorized", "No."))
    assert run("status", FILE_ID).exit_code == 5
    assert [heard.call for heard in api.heard] == [THE_FILE]


@pytest.mark.parametrize("record_id", ["", "674", "z" * 24, FILE_ID + "0", f"{FILE_ID}\n", "../../etc/passwd"])
def test_what_is_no_id_is_wrong_usage(api: ScriptedApi, run: Run, record_id: str) -> None:
    assert run("status", record_id).exit_code == 2
    assert api.heard == []


def test_api_that_is_away_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDHAUL_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(app_module, "STATUS_PATIENCE_SECONDS", 0.5)
    result = run("status", FILE_ID)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("ERROR unreachable: http://127.0.0.1:1 does not answer: ")


def test_version_and_help_need_no_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRIDHAUL_TOKEN")
    assert run("--version").stdout == f"gridhaul {__version__}\n"
    assert "GRIDHAUL_TOKEN" in run("--help").stdout

"""`gridhaul deliver`: its requests to the api, its output and its exit codes."""

import json

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import (
    DELIVERY_ID,
    FILE_ID,
    ITS_DELIVERIES,
    MIB,
    SHA256,
    THE_DELIVERY,
    THE_FILE,
    Answer,
    ScriptedApi,
    deliveries,
    delivery,
    file,
    problem,
)

FINALIZE = f"POST /upload/{FILE_ID}/finalize"
DELIVER = ("deliver", FILE_ID, "--to", "archive")
PROOF = f"DELIVERED {FILE_ID} {4 * MIB} sha-256={SHA256} https://archive.example/run42.h5\n"


@pytest.fixture
def stored(api: ScriptedApi) -> ScriptedApi:
    """Return the api, which holds a stored file without deliveries."""
    api.script(THE_FILE, file("STORED"))
    api.script(ITS_DELIVERIES, deliveries())
    return api


def test_stored_file_is_delivered_and_ends_with_its_proof(stored: ScriptedApi, run: Run) -> None:
    stored.script(FINALIZE, Answer(body=delivery("QUEUED"), status=202))
    stored.script(THE_DELIVERY, delivery("STREAMING", sent_bytes=MIB), delivery("DELIVERED"))
    result = run(*DELIVER, "--name", "2026/run.h5", "--if-exists", "rename")
    assert (result.exit_code, result.stdout) == (0, PROOF)
    assert result.stderr.splitlines() == [
        f"file {FILE_ID} run42.h5 (4.0 MiB)",
        "QUEUED 0 B of 4.0 MiB",
        "STREAMING 1.0 MiB of 4.0 MiB",
        "DELIVERED 4.0 MiB of 4.0 MiB",
    ]
    (heard,) = stored.calls(FINALIZE)
    assert heard.headers["content-sha256"] == SHA256
    assert json.loads(heard.body) == {"target": "archive", "if_exists": "rename", "object_name": "2026/run.h5"}


def test_delivery_that_is_done_already_is_printed_at_once(stored: ScriptedApi, run: Run) -> None:
    stored.script(FINALIZE, delivery("DELIVERED"))
    result = run(*DELIVER)
    assert (result.exit_code, result.stdout) == (0, PROOF)
    assert stored.calls(THE_DELIVERY) == []


def test_delivery_whose_object_was_lost_is_retried(stored: ScriptedApi, run: Run) -> None:
    lost = {"code": "object_missing", "detail": "No object is under the name."}
    stored.script(FINALIZE, delivery("DELIVERED", object_error=lost))
    stored.script(f"POST /deliveries/{DELIVERY_ID}/retry", delivery("QUEUED"))
    stored.script(THE_DELIVERY, delivery("DELIVERED"))
    result = run(*DELIVER)
    assert (result.exit_code, result.stdout) == (0, PROOF)


def test_failed_delivery_exits_by_its_kind(stored: ScriptedApi, run: Run) -> None:
    failed = delivery("FAILED", error={"code": "chunk_corrupt", "detail": "Chunk 2 is wrong."})
    stored.script(FINALIZE, Answer(body=failed, status=202))
    result = run(*DELIVER)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.splitlines()[-1] == (
        f"FAILED {FILE_ID} chunk_corrupt: Chunk 2 is wrong. Then: gridhaul fsck {FILE_ID} --repair"
    )


def test_failure_is_told_with_the_command_that_goes_on(stored: ScriptedApi, run: Run) -> None:
    taken = {"code": "object_exists", "detail": "The target holds other bytes under this name."}
    away = {"code": "target_unavailable", "detail": "The target does not answer."}
    stored.script(FINALIZE, Answer(body=delivery("FAILED", error=taken), status=202), delivery("FAILED", error=away))
    options = f"gridhaul deliver {FILE_ID} --to archive with another --name or --if-exists\n"
    assert run(*DELIVER).stderr.endswith(options)
    assert run(*DELIVER).stderr.endswith(f"Then: gridhaul retry {DELIVERY_ID}\n")


def test_no_wait_returns_after_the_request(stored: ScriptedApi, run: Run) -> None:
    stored.script(FINALIZE, Answer(body=delivery("QUEUED"), status=202))
    result = run(*DELIVER, "--no-wait")
    assert (result.exit_code, result.stdout) == (0, f"delivery {DELIVERY_ID} QUEUED\n")
    assert stored.calls(THE_DELIVERY) == []


@pytest.mark.parametrize("wait", ["--wait", "--no-wait"])
def test_json_prints_file_and_delivery(stored: ScriptedApi, run: Run, wait: str) -> None:
    stored.script(FINALIZE, delivery("DELIVERED"))
    result = run(*DELIVER, wait, "--json")
    assert json.loads(result.stdout) == {"file": file("STORED"), "delivery": delivery("DELIVERED")}


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("REGISTERED", f"look with `gridhaul status {FILE_ID}`"),
        ("STORING", f"look with `gridhaul status {FILE_ID}`"),
        ("PAUSED", f"go on with `gridhaul resume {FILE_ID}`"),
        ("FAILED", f"start it again with `gridhaul retry {FILE_ID}`"),
        ("CANCELLED", f"start it again with `gridhaul retry {FILE_ID}`"),
        ("DELETED", "its bytes are gone; send its source anew with `gridhaul send`"),
    ],
)
def test_file_that_is_not_stored_is_refused_with_what_to_do(
    api: ScriptedApi, run: Run, state: str, advice: str
) -> None:
    api.script(THE_FILE, file(state))
    api.script(ITS_DELIVERIES, deliveries())
    result = run(*DELIVER)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"ERROR not_stored: The file {FILE_ID} is {state}, not STORED: {advice}")
    assert api.calls(FINALIZE) == []


def test_id_of_a_delivery_means_its_file(api: ScriptedApi, run: Run) -> None:
    api.script(THE_DELIVERY, delivery("DELIVERED"))
    api.script(THE_FILE, file("STORED"))
    api.script(FINALIZE, delivery("DELIVERED", target="elsewhere"))
    result = run("deliver", DELIVERY_ID, "--to", "elsewhere")
    assert (result.exit_code, result.stdout) == (0, PROOF)
    assert f"{DELIVERY_ID} is a delivery; this command delivers its file {FILE_ID} as run42.h5\n" in result.stderr


def test_id_of_a_delivery_at_the_same_target_means_its_name(api: ScriptedApi, run: Run) -> None:
    api.script(THE_DELIVERY, delivery("FAILED", object_name="2026/run.h5"))
    api.script(THE_FILE, file("STORED"))
    api.script(FINALIZE, delivery("DELIVERED"))
    assert run("deliver", DELIVERY_ID, "--to", "archive").exit_code == 0
    (heard,) = api.calls(FINALIZE)
    assert json.loads(heard.body)["object_name"] == "2026/run.h5"


def test_ending_of_an_id_is_enough(stored: ScriptedApi, run: Run) -> None:
    stored.script("GET /files?limit=1000", {"files": [file("STORED")], "next_cursor": None})
    stored.script("GET /deliveries?limit=1000", {"deliveries": [], "next_cursor": None})
    stored.script(FINALIZE, delivery("DELIVERED"))
    assert run("deliver", FILE_ID[-6:], "--to", "archive").exit_code == 0


def test_unknown_id_is_not_found(api: ScriptedApi, run: Run) -> None:
    result = run(*DELIVER)
    assert (result.exit_code, result.stderr) == (4, "ERROR not_found: There is no such file or delivery.\n")


def test_refused_target_is_named(stored: ScriptedApi, run: Run) -> None:
    stored.script(FINALIZE, problem(422, "target_unknown", "There is no such target."))
    line = "There is no such target. The target is archive; an operator names targets in targets.toml"
    assert line in run(*DELIVER).stderr


def test_conflict_is_told_in_the_words_of_the_command(stored: ScriptedApi, run: Run) -> None:
    detail = "This delivery was asked for with the policy `rename` for an object that exists."
    stored.script(FINALIZE, problem(409, "options_conflict", detail))
    result = run(*DELIVER)
    advice = "The options are --if-exists and --name."
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"ERROR options_conflict: {detail} {advice}\n"


@pytest.mark.parametrize("args", [("deliver", FILE_ID), ("deliver", "xyz", "--to", "archive"), ("deliver",)])
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 2
    assert api.heard == []

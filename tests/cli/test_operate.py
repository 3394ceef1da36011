"""`gridhaul cancel`, `pause`, `resume`, `retry` and `rm`."""

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import DELIVERY_ID, FILE_ID, Answer, ScriptedApi, delivery, file, problem

ENDS = {"cancel": "CANCELLED", "pause": "PAUSED", "resume": "REGISTERED", "retry": "REGISTERED"}


@pytest.mark.parametrize("command", ENDS)
def test_file_is_moved_and_its_state_printed(api: ScriptedApi, run: Run, command: str) -> None:
    api.script(f"POST /files/{FILE_ID}/{command}", file(ENDS[command]))
    result = run(command, FILE_ID.upper())
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"file {FILE_ID} {ENDS[command]}\n", "")


@pytest.mark.parametrize("command", ENDS)
def test_delivery_is_moved_and_its_state_printed(api: ScriptedApi, run: Run, command: str) -> None:
    api.script(f"POST /deliveries/{DELIVERY_ID}/{command}", delivery("QUEUED"))
    result = run(command, DELIVERY_ID)
    assert (result.exit_code, result.stdout) == (0, f"delivery {DELIVERY_ID} QUEUED\n")


def test_each_id_is_tried_and_the_first_refusal_is_the_exit_code(api: ScriptedApi, run: Run) -> None:
    refusal = problem(409, "state_conflict", "The file is STORED: storing is finished.")
    api.script(f"POST /files/{FILE_ID}/pause", refusal)
    api.script(f"POST /deliveries/{DELIVERY_ID}/pause", delivery("PAUSED"))
    result = run("pause", FILE_ID, DELIVERY_ID, "0" * 24)
    assert (result.exit_code, result.stdout) == (1, f"delivery {DELIVERY_ID} PAUSED\n")
    assert result.stderr.splitlines() == [
        f"ERROR {FILE_ID} state_conflict: The file is STORED: storing is finished.",
        f"ERROR {'0' * 24} not_found: There is no such file, delivery or batch.",
    ]


@pytest.mark.parametrize("command", [*ENDS, "rm"])
def test_unknown_id_is_not_found(run: Run, command: str) -> None:
    assert run(command, "0" * 24).exit_code == 4


@pytest.mark.parametrize("command", [*ENDS, "rm"])
def test_wrong_address_is_no_unknown_id(api: ScriptedApi, run: Run, command: str) -> None:
    call = f"DELETE /files/{FILE_ID}" if command == "rm" else f"POST /files/{FILE_ID}/{command}"
    api.script(call, Answer(body={"detail": "Not Found"}, status=404))
    result = run(command, FILE_ID)
    assert (result.exit_code, len(api.heard)) == (1, 1)
    assert "did not come from an api of Gridhaul" in result.stderr


@pytest.mark.parametrize("command", [*ENDS, "rm"])
@pytest.mark.parametrize("ids", [(), ("x",), (FILE_ID, "../../etc/passwd")])
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, command: str, ids: tuple[str, ...]) -> None:
    assert run(command, *ids).exit_code == 2
    assert api.heard == []


def test_refused_token_ends_with_its_code(api: ScriptedApi, run: Run) -> None:
    api.script(f"POST /files/{FILE_ID}/cancel", problem(401, "unauthorized", "No."))
    assert run("cancel", FILE_ID).exit_code == 5
    assert len(api.heard) == 1


def test_file_is_deleted(api: ScriptedApi, run: Run) -> None:
    api.script(f"DELETE /files/{FILE_ID}", Answer(body=file("DELETING"), status=202))
    result = run("rm", FILE_ID)
    assert (result.exit_code, result.stdout) == (0, f"file {FILE_ID} DELETING\n")


def test_file_is_cancelled_and_deleted(api: ScriptedApi, run: Run) -> None:
    api.script(f"DELETE /files/{FILE_ID}?cancel=true", Answer(body=file("DELETING"), status=202))
    result = run("rm", "--cancel", FILE_ID)
    assert (result.exit_code, result.stdout) == (0, f"file {FILE_ID} DELETING\n")


def test_file_with_an_open_delivery_is_refused_with_the_advice(api: ScriptedApi, run: Run) -> None:
    api.script(f"DELETE /files/{FILE_ID}", problem(409, "delivery_open", "Wait for it."))
    result = run("rm", FILE_ID)
    assert (result.exit_code, result.stderr) == (1, f"ERROR {FILE_ID} delivery_open: Wait for it.\n")

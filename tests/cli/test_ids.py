"""Ids of which only the ending is given."""

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import ITS_DELIVERIES, Answer, ScriptedApi, deliveries, delivery, file
from tests.cli.scripted_batches import BATCH_ID, batch

FILES = "GET /files?limit=1000"
DELIVERIES = "GET /deliveries?limit=1000"
BATCHES = "GET /batches?limit=1000"
CHECKS = "GET /checks?limit=1000"
FIRST, SECOND = "6740c0ffee0123456789abcd", "6740c0ffee01234567891bcd"
DELIVERY = "0123456789abcdef01231bcd"
UNKNOWN = "ERROR not_found: No {} among the newest 1,000 has an id that ends with ffff; a whole id always works.\n"


@pytest.fixture(autouse=True)
def listed(api: ScriptedApi) -> None:
    two = [file("STORED", file_id=FIRST), file("FAILED", file_id=SECOND, name="b\n.h5")]
    api.script(FILES, Answer(body={"files": two, "next_cursor": None}))
    api.script(BATCHES, Answer(body={"batches": [batch("RUNNING")], "next_cursor": None}))
    one = delivery("DELIVERED", delivery_id=DELIVERY)
    api.script(DELIVERIES, Answer(body={"deliveries": [one], "next_cursor": None}))


def test_ending_that_one_record_has_is_its_id(api: ScriptedApi, run: Run) -> None:
    api.script(f"GET /files/{FIRST}", file("STORED"))
    api.script(ITS_DELIVERIES, deliveries())
    assert run("status", "9ABCD").exit_code == 0
    assert [heard.call for heard in api.heard] == [FILES, DELIVERIES, BATCHES, f"GET /files/{FIRST}", ITS_DELIVERIES]


@pytest.mark.parametrize("command", ["cancel", "pause", "resume", "retry"])
def test_records_are_fetched_once_for_all_endings(api: ScriptedApi, run: Run, command: str) -> None:
    api.script(f"POST /files/{FIRST}/{command}", file("STORED"))
    api.script(f"POST /deliveries/{DELIVERY}/{command}", delivery("QUEUED"))
    assert run(command, "abcd", "31bcd", FIRST).exit_code == 0
    assert len(api.calls(FILES)) == len(api.calls(DELIVERIES)) == 1
    assert len(api.calls(f"POST /files/{FIRST}/{command}")) == 2


def test_ending_that_several_have_is_refused_with_all_of_them(api: ScriptedApi, run: Run) -> None:
    result = run("cancel", "abcd", "1bcd")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"file {SECOND} FAILED b\\n.h5",
        f"delivery {DELIVERY} DELIVERED archive: run42.h5",
        "gridhaul: 2 ids end with 1bcd: give more digits of the one that you mean",
    ]
    assert [heard.call for heard in api.heard] == [FILES, DELIVERIES, BATCHES]


def test_ending_that_none_has_is_not_found(run: Run) -> None:
    result = run("retry", "ffff")
    assert (result.exit_code, result.stderr) == (4, UNKNOWN.format("file, delivery or batch"))


def test_short_ending_is_refused_if_an_older_record_may_have_it(api: ScriptedApi, run: Run) -> None:
    many = [file("STORED", file_id=f"{n:020x}abcd") for n in range(999)]
    first = file("STORED", file_id=FIRST)
    api.script(FILES, Answer(body={"files": [first, *many], "next_cursor": None}))
    api.script(f"DELETE /files/{FIRST}", file("DELETING"))
    run("rm", "ffff")  # takes the answer that the fixture has scripted
    refused = run("rm", "789abcd")
    assert (refused.exit_code, api.calls(f"DELETE /files/{FIRST}")) == (2, [])
    why = "there are more than 1,000 records, and an older one may end with 789abcd, too"
    assert refused.stderr == f"gridhaul: {why}: give 8 digits or more\n"
    assert run("rm", "6789abcd").exit_code == 0


def test_only_files_and_batches_are_removed_by_an_ending(api: ScriptedApi, run: Run) -> None:
    api.script(f"DELETE /files/{SECOND}", file("DELETING"))
    assert run("rm", "1bcd").exit_code == 0
    assert (run("rm", "ffff").stderr, api.calls(DELIVERIES)) == (UNKNOWN.format("file or batch"), [])


def test_commands_take_the_ending_of_a_batch(api: ScriptedApi, run: Run) -> None:
    api.script(f"GET /batches/{BATCH_ID}", batch("RUNNING"))
    api.script(f"POST /batches/{BATCH_ID}/pause", batch("PAUSED"))
    assert run("status", BATCH_ID[-6:]).stdout.startswith(f"batch {BATCH_ID} RUNNING\n")
    assert run("pause", BATCH_ID[-6:]).stdout == f"batch {BATCH_ID} PAUSED\n"
    api.script(BATCHES, Answer(body={"batches": [batch("RUNNING")], "next_cursor": None}))
    assert run("batch", BATCH_ID[-6:]).stdout.startswith(f"batch {BATCH_ID} RUNNING\n")
    assert run("batch", "ffff").stderr == UNKNOWN.format("batch")


def test_check_and_fsck_take_endings(api: ScriptedApi, run: Run) -> None:
    found = {"check_id": SECOND, "state": "RUNNING", "kind": "gc"}
    api.script(CHECKS, Answer(body={"checks": [found], "next_cursor": None}))
    api.script(f"POST /checks/{SECOND}/cancel", Answer(body=found))
    assert run("check", "1bcd", "--cancel").stdout == f"RUNNING {SECOND}\n"
    assert run("check", "ffff").stderr == UNKNOWN.format("check")
    api.script("POST /checks", Answer(body=found))
    assert run("fsck", "abcd", "--no-wait").exit_code == 0
    assert f'"id":"{FIRST}"'.encode() in api.calls("POST /checks")[0].body.replace(b" ", b"")


def test_whole_id_costs_no_further_request(api: ScriptedApi, run: Run) -> None:
    api.script(f"DELETE /files/{FIRST}", file("DELETING"))
    assert run("rm", FIRST).exit_code == 0
    assert [heard.call for heard in api.heard] == [f"DELETE /files/{FIRST}"]


@pytest.mark.parametrize("ending", ["bcd", "", "xyzw", "abc\n", FIRST + "0"])
def test_what_is_no_ending_is_wrong_usage(api: ScriptedApi, run: Run, ending: str) -> None:
    for command in ("status", "rm", "cancel", "check", "fsck"):
        assert run(command, ending).exit_code == 2
    assert api.heard == []

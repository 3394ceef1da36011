"""`gridhaul ls` where stdout is no terminal, and what it asks the api for."""

import json
from datetime import UTC, datetime, timedelta

from gridhaul.transfer.states import FileState
from tests.cli.conftest import Run
from tests.cli.scripted_api import DELIVERY_ID, FILE_ID, MIB, ScriptedApi, delivery, file

KEPT = "&".join(f"state={state}" for state in sorted(set(FileState) - {FileState.DELETED}))
FILES = f"GET /files?{KEPT}&limit=50"
FAILED_FILES = "GET /files?state=FAILED&limit=50"
FAILED_DELIVERIES = "GET /deliveries?state=FAILED&limit=50"
NOT_DONE = "&".join(f"state={state}" for state in ("COMMITTING", "FAILED", "PAUSED", "QUEUED", "STREAMING"))
DELIVERIES = f"GET /deliveries?{NOT_DONE}&limit=50"
LOST = "GET /deliveries?lost=true&limit=50"
WHY = {"code": "target_refused", "detail": "Not\x1b[2J here."}
HEADER = "NAME\tSOURCE\tSIZE\tSTATE\tTARGET\tTIME\tID\tNOTE"


def files(*records: dict[str, object], cursor: str | None = None) -> dict[str, object]:
    return {"files": list(records), "next_cursor": cursor}


def deliveries(*records: dict[str, object]) -> dict[str, object]:
    return {"deliveries": list(records), "next_cursor": None}


def test_files_and_deliveries_that_are_not_done_are_whole_between_tabs(api: ScriptedApi, run: Run) -> None:
    long = "/srv/" + "d" * 300
    api.script(FILES, files(file("STORING", stored_bytes=MIB, rate=MIB), file("PAUSED", name="a\tb", file_path=long)))
    api.script(DELIVERIES, deliveries(delivery("FAILED", error=WHY)))
    api.script(LOST, deliveries())
    result = run("ls")
    storing = "1.0 MiB of 4.0 MiB, 1.0 MiB/s, 3 s left"
    registered, queued = "2026-11-21T03:00:00Z", "2026-11-21T03:00:02Z"
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        HEADER,
        f"run42.h5\t/srv/run42.h5\t4.0 MiB\tSTORING\tarchive\t{registered}\t{FILE_ID}\t{storing}",
        f"a\\tb\t{long}\t4.0 MiB\tPAUSED\tarchive\t{registered}\t{FILE_ID}\t",
        "",
        HEADER.replace("NAME", "OBJECT"),
        f"run42.h5\t/srv/run42.h5\t4.0 MiB\tFAILED\tarchive\t{queued}\t{DELIVERY_ID}\ttarget_refused: not\\x1b[2J here",
    ]


def test_reason_to_wait_and_the_next_attempt_are_told(api: ScriptedApi, run: Run) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=185)).isoformat()
    api.script(FILES, files(file("REGISTERED", waiting=WHY, error=WHY, next_attempt_at=soon)))
    api.script(DELIVERIES, deliveries())
    api.script(LOST, deliveries())
    note = run("ls").stdout.splitlines()[1].split("\t")[-1]
    assert note.startswith("waiting: not\\x1b[2J here; next attempt in 3 min 0")


def test_delivery_whose_object_was_lost_says_so(api: ScriptedApi, run: Run) -> None:
    lost = {"code": "object_missing", "detail": "The target has no object under this name."}
    api.script("GET /deliveries?limit=50", deliveries(delivery("DELIVERED", object_error=lost)))
    note = run("ls", "--deliveries").stdout.splitlines()[1].split("\t")[-1]
    assert note == "object_missing: the target has no object under this name"


def test_lost_deliveries_are_listed_by_themselves(api: ScriptedApi, run: Run) -> None:
    lost = {"code": "object_missing", "detail": "No object is under the name."}
    api.script(FILES, files())
    api.script(DELIVERIES, deliveries(delivery("QUEUED", created_at="2026-11-21T03:00:01Z")))
    api.script(LOST, deliveries(delivery("DELIVERED", object_error=lost, created_at="2026-11-21T03:00:02Z")))
    lines = run("ls").stdout.splitlines()[1:]
    assert [line.split("\t")[3] for line in lines] == ["DELIVERED", "QUEUED"]


def test_file_without_a_target_has_none(api: ScriptedApi, run: Run) -> None:
    api.script(FILES, files(file("STORED", deliver_to=None)))
    api.script(DELIVERIES, deliveries())
    api.script(LOST, deliveries())
    assert run("ls").stdout.splitlines()[1].split("\t")[4] == "-"


def test_file_with_several_targets_has_all(api: ScriptedApi, run: Run) -> None:
    to = [{"target": name, "object_name": "o", "if_exists": "fail"} for name in ("archive", "mirror", "archive")]
    api.script(FILES, files(file("STORED", deliver_to=to)))
    api.script(DELIVERIES, deliveries())
    api.script(LOST, deliveries())
    assert run("ls").stdout.splitlines()[1].split("\t")[4] == "archive, mirror"


def test_failed_ones_are_asked_for_alone(api: ScriptedApi, run: Run) -> None:
    api.script(FAILED_FILES, files(file("FAILED")))
    api.script(FAILED_DELIVERIES, deliveries(delivery("FAILED")))
    assert run("ls", "--failed").exit_code == 0
    assert [heard.call for heard in api.heard] == [FAILED_FILES, FAILED_DELIVERIES]


def test_state_of_files_alone_asks_for_files_alone(api: ScriptedApi, run: Run) -> None:
    api.script("GET /files?state=DELETED&limit=50", files(file("DELETED")))
    assert run("ls", "--state", "deleted").exit_code == 0
    assert len(api.heard) == 1


def test_state_of_deliveries_alone_asks_for_deliveries_alone(api: ScriptedApi, run: Run) -> None:
    api.script("GET /deliveries?state=DELIVERED&limit=50", deliveries(delivery("DELIVERED")))
    assert run("ls", "--state", "DELIVERED").exit_code == 0
    assert len(api.heard) == 1


def test_deliveries_that_went_well_are_listed(api: ScriptedApi, run: Run) -> None:
    api.script("GET /deliveries?limit=50", deliveries(delivery("DELIVERED"), delivery("FAILED")))
    lines = run("ls", "--deliveries").stdout.splitlines()
    assert [line.split("\t")[3] for line in lines] == ["STATE", "DELIVERED", "FAILED"]
    assert len(api.heard) == 1


def test_deliveries_in_a_state_are_asked_for(api: ScriptedApi, run: Run) -> None:
    api.script(FAILED_DELIVERIES, deliveries(delivery("FAILED")))
    assert run("ls", "--deliveries", "--failed").exit_code == 0
    assert [heard.call for heard in api.heard] == [FAILED_DELIVERIES]


def test_deleted_files_are_listed_with_all(api: ScriptedApi, run: Run) -> None:
    api.script("GET /files?limit=50", files(file("DELETED")))
    api.script(DELIVERIES, deliveries())
    api.script(LOST, deliveries())
    assert "\tDELETED\t" in run("ls", "--all").stdout


def test_json_is_one_object_a_line(api: ScriptedApi, run: Run) -> None:
    api.script(FILES, files(file("STORED"), file("FAILED")))
    api.script(DELIVERIES, deliveries(delivery("FAILED", error=WHY)))
    api.script(LOST, deliveries())
    lines = [json.loads(line) for line in run("ls", "--json").stdout.splitlines()]
    failed = delivery("FAILED", error=WHY)
    assert lines == [{"file": file("STORED")}, {"file": file("FAILED")}, {"delivery": failed}]


def test_limit_is_reached_page_by_page(api: ScriptedApi, run: Run) -> None:
    page = [file("STORED")] * 1000
    api.script("GET /files?limit=1000", files(*page, cursor=FILE_ID))
    api.script(f"GET /files?limit=500&cursor={FILE_ID}", files(*page[:500], cursor=FILE_ID))
    api.script(f"GET /deliveries?{NOT_DONE}&limit=1000", deliveries())
    api.script("GET /deliveries?lost=true&limit=1000", deliveries())
    assert len(run("ls", "--all", "--limit", "1500").stdout.splitlines()) == 1501


def test_nothing_is_nothing(api: ScriptedApi, run: Run) -> None:
    api.script(FILES, files())
    api.script(DELIVERIES, deliveries())
    api.script(LOST, deliveries())
    result = run("ls")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run) -> None:
    wrong = (
        ("--state", "LOST"),
        ("--limit", "0"),
        ("--failed", "--state", "STORED"),
        ("--deliveries", "--state", "STORED"),
    )
    for args in wrong:
        assert run("ls", *args).exit_code == 2
    assert api.heard == []

"""`gridhaul ls`."""

import json

from tests.cli.conftest import Run
from tests.cli.scripted_api import DELIVERY_ID, FILE_ID, MIB, ScriptedApi, delivery, file

FILES = "GET /files?limit=50"
FAILED_FILES = "GET /files?state=FAILED&limit=50"
FAILED_DELIVERIES = "GET /deliveries?state=FAILED&limit=50"
WHY = {"code": "target_refused", "detail": "Not\x1b[2J here."}


def files(*records: dict[str, object], cursor: str | None = None) -> dict[str, object]:
    return {"files": list(records), "next_cursor": cursor}


def deliveries(*records: dict[str, object]) -> dict[str, object]:
    return {"deliveries": list(records), "next_cursor": None}


def test_files_and_failed_deliveries_are_a_table(api: ScriptedApi, run: Run) -> None:
    api.script(FILES, files(file("STORING", stored_bytes=MIB, rate=MIB), file("PAUSED", name="a\nb")))
    api.script(FAILED_DELIVERIES, deliveries(delivery("FAILED", error=WHY)))
    result = run("ls")
    why = "(target_refused: Not\\x1b[2J here.)"
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "KIND      ID                        STATE    PROGRESS                                 WHAT",
        f"file      {FILE_ID}  STORING  1.0 MiB of 4.0 MiB, 1.0 MiB/s, 3 s left  run42.h5",
        f"file      {FILE_ID}  PAUSED   0 B of 4.0 MiB                           a\\nb",
        f"delivery  {DELIVERY_ID}  FAILED   0 B of 4.0 MiB                           archive: run42.h5 {why}",
    ]


def test_failed_ones_are_asked_for_alone(api: ScriptedApi, run: Run) -> None:
    api.script(FAILED_FILES, files(file("FAILED")))
    api.script(FAILED_DELIVERIES, deliveries(delivery("FAILED")))
    lines = run("ls", "--failed").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["KIND", "file", "delivery"]
    assert [heard.call for heard in api.heard] == [FAILED_FILES, FAILED_DELIVERIES]


def test_state_of_files_alone_asks_for_files_alone(api: ScriptedApi, run: Run) -> None:
    api.script("GET /files?state=STORED&limit=50", files(file("STORED")))
    assert run("ls", "--state", "stored").exit_code == 0
    assert len(api.heard) == 1


def test_state_of_deliveries_alone_asks_for_deliveries_alone(api: ScriptedApi, run: Run) -> None:
    api.script("GET /deliveries?state=DELIVERED&limit=50", deliveries(delivery("DELIVERED")))
    assert run("ls", "--state", "DELIVERED").exit_code == 0
    assert len(api.heard) == 1


def test_json_is_one_object_a_line(api: ScriptedApi, run: Run) -> None:
    api.script(FILES, files(file("STORED"), file("FAILED")))
    api.script(FAILED_DELIVERIES, deliveries(delivery("FAILED", error=WHY)))
    lines = [json.loads(line) for line in run("ls", "--json").stdout.splitlines()]
    failed = delivery("FAILED", error=WHY)
    assert lines == [{"file": file("STORED")}, {"file": file("FAILED")}, {"delivery": failed}]


def test_limit_is_reached_page_by_page(api: ScriptedApi, run: Run) -> None:
    page = [file("STORED")] * 1000
    api.script("GET /files?limit=1000", files(*page, cursor=FILE_ID))
    api.script(f"GET /files?limit=500&cursor={FILE_ID}", files(*page[:500], cursor=FILE_ID))
    api.script("GET /deliveries?state=FAILED&limit=1000", deliveries())
    assert len(run("ls", "--limit", "1500").stdout.splitlines()) == 1501


def test_nothing_is_nothing(api: ScriptedApi, run: Run) -> None:
    api.script(FILES, files())
    api.script(FAILED_DELIVERIES, deliveries())
    result = run("ls")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run) -> None:
    for args in (("--state", "LOST"), ("--limit", "0"), ("--failed", "--state", "STORED")):
        assert run("ls", *args).exit_code == 2
    assert api.heard == []

"""Files that a client is still sending, whose length may not be known, in every display."""

import io
from typing import Any, cast

import pytest
from rich.console import Console

from gridhaul.cli import text
from gridhaul.cli.bars import Bars
from gridhaul.cli.display import Lines
from gridhaul.client import Transfer
from gridhaul.client.records import FileRecord
from tests.cli.conftest import Run
from tests.cli.scripted_api import FILE_ID, ITS_DELIVERIES, MIB, THE_FILE, ScriptedApi, deliveries, file

EXPIRES = "2026-11-28T03:00:00Z"


def receiving(length: int | None) -> dict[str, Any]:
    upload = {"door": "tus", "offset": 3 * MIB, "expires_at": EXPIRES, "address": f"/uploads/{FILE_ID}abc"}
    chunks = None if length is None else length // MIB
    known = {"length": length, "chunk_count": chunks, "stored_bytes": 3 * MIB, "upload": upload}
    return file("RECEIVING", file_path=None, mtime=None, if_changed=None, deliver_to=None, **known)


@pytest.mark.parametrize(("length", "of"), [(None, "?"), (4 * MIB, "4.0 MiB")])
def test_status_tells_what_was_received_and_until_when_it_is_kept(
    api: ScriptedApi, run: Run, length: int | None, of: str
) -> None:
    api.script(THE_FILE, receiving(length))
    api.script(ITS_DELIVERIES, deliveries())
    lines = run("status", FILE_ID).stdout.splitlines()
    assert lines[0] == f"file {FILE_ID} RECEIVING"
    assert "  source    sent by a client" in lines
    assert f"  received  3.0 MiB of {of}" in lines
    assert f"  expires   {EXPIRES}, unless its client goes on" in lines
    assert ("  length    not known yet" in lines) is (length is None)


@pytest.mark.parametrize(("length", "of"), [(None, "?"), (4 * MIB, "4.0 MiB")])
def test_list_tells_what_was_received(api: ScriptedApi, run: Run, length: int | None, of: str) -> None:
    page = {"files": [receiving(length)], "next_cursor": None}
    api.script("GET /files?state=RECEIVING&limit=50", page)
    (row,) = run("ls", "--state", "receiving").stdout.splitlines()[1:]
    cells = row.split("\t")
    assert (cells[1], cells[2], cells[3], cells[-1]) == ("-", of, "RECEIVING", f"received 3.0 MiB of {of}")


@pytest.mark.parametrize("state", ["EXPIRED", "RECEIVING"])
def test_file_that_is_not_whole_is_not_delivered(api: ScriptedApi, run: Run, state: str) -> None:
    api.script(THE_FILE, receiving(None) | {"state": state})
    api.script(ITS_DELIVERIES, deliveries())
    refused = run("deliver", FILE_ID, "--to", "archive")
    assert refused.exit_code == 1
    assert f"The file {FILE_ID} is {state}, not STORED: " in refused.stderr


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_bar_of_an_unknown_length_stays_empty_and_fits(columns: int) -> None:
    console = Console(file=io.StringIO(), width=columns)
    bars = Bars(console)
    bars.show(Transfer(file=cast(FileRecord, receiving(None)), delivery=None, seen_at=None))
    with console.capture() as captured:
        console.print(bars)
    (line,) = captured.get().splitlines()
    assert line.startswith("receiving ")
    assert "3.0 MiB" in line
    assert "?" in line
    assert "━" not in line


def test_line_of_an_unknown_length_names_no_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().show(Transfer(file=cast(FileRecord, receiving(None)), delivery=None, seen_at=None))
    assert capsys.readouterr().err == "RECEIVING 3.0 MiB of ?\n"
    assert text.progress(3 * MIB, None, MIB) == "3.0 MiB of ?, 1.0 MiB/s"


def test_expired_upload_is_over() -> None:
    expired = receiving(None) | {"state": "EXPIRED", "upload": None}
    assert Transfer(file=cast(FileRecord, expired), delivery=None, seen_at=None).over

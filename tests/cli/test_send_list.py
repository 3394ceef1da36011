"""`gridhaul send` of a list or a manifest: the text is sent first, then the batch that names it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.scripted_api import Answer, ScriptedApi, problem
from tests.cli.scripted_batches import BATCH_ID, START, THE_BATCH, batch, play

TO = ("--to", "archive")
LIST_ID = "6740c0ffee0123456789eeee"
DIGEST = "ab" * 32


def send_to(list_format: str) -> str:
    return f"POST /lists?format={list_format}"


def take_list(api: ScriptedApi, list_format: str, *, relative: int = 0) -> None:
    made = {"list_id": LIST_ID, "format": list_format, "entries": 3, "relative": relative}
    api.script(send_to(list_format), Answer(body=made, status=201))


def text(api: ScriptedApi, list_format: str) -> bytes:
    (heard,) = api.calls(send_to(list_format))
    assert heard.headers["content-type"] == "text/plain"
    assert heard.headers["content-length"] == str(len(heard.body))
    return heard.body


def order(api: ScriptedApi) -> dict[str, Any]:
    (heard,) = api.calls(START)
    return dict(json.loads(heard.body))


def test_list_is_sent_as_it_is_and_the_batch_names_it(api: ScriptedApi, run: Run, tmp_path: Path) -> None:
    take_list(api, "paths")
    play(api, batch("DONE", paths=[], list_id=LIST_ID))
    (tmp_path / "list").write_bytes(b"/srv/b\n\n/srv/\xff\n")
    result = run("send", "--files-from", str(tmp_path / "list"), *TO)
    assert result.exit_code == 0
    assert text(api, "paths") == b"/srv/b\n\n/srv/\xff\n"
    assert order(api) == {
        "list_id": LIST_ID,
        "deliver_to": [{"target": "archive", "if_exists": "fail"}],
        "if_changed": "fail",
    }


def test_list_whose_batch_is_refused_is_deleted(api: ScriptedApi, run: Run) -> None:
    take_list(api, "paths")
    api.script(START, problem(422, "target_unknown", "There is no such target."))
    api.script(f"DELETE /lists/{LIST_ID}", Answer(body=b"", status=204))
    assert run("send", "--files-from", "-", *TO, stdin="/srv/a").exit_code != 0
    assert len(api.calls(f"DELETE /lists/{LIST_ID}")) == 1


def test_title_names_the_list_of_a_batch(api: ScriptedApi, run: Run) -> None:
    take_list(api, "paths")
    api.script(START, Answer(body=batch("REGISTERING", paths=[], list_id=LIST_ID), status=202))
    api.script(THE_BATCH, batch("DONE", paths=[], list_id=LIST_ID))
    result = run("send", "--files-from", "-", *TO, stdin="/srv/a")
    assert f"batch {BATCH_ID}: list {LIST_ID} to archive" in result.stderr


def test_list_of_stdin_is_separated_by_nul(api: ScriptedApi, run: Run) -> None:
    take_list(api, "paths0")
    play(api, batch("DONE"))
    assert run("send", "--files-from", "-", "--from0", *TO, stdin="/srv/a\nb\0/srv/c\0").exit_code == 0
    assert text(api, "paths0") == b"/srv/a\nb\0/srv/c\0"


@pytest.mark.parametrize(("given", "base"), [((), None), (("--base", "/srv"), "/srv")])
def test_relative_paths_begin_at_the_base_or_at_the_current_directory(
    api: ScriptedApi, run: Run, given: tuple[str, ...], base: str | None
) -> None:
    take_list(api, "paths", relative=1)
    play(api, batch("DONE"))
    assert run("send", "--files-from", "-", *given, *TO, stdin="a").exit_code == 0
    assert order(api)["base"] == (base or str(Path.cwd()))


@pytest.mark.parametrize(
    ("content", "list_format"),
    [(f"{DIGEST}  a\n", "sha256sums"), ("\n# sums\n", "sha256sums"), ('\n {"path": "a"}\n', "jsonl")],
)
def test_format_of_a_manifest_is_seen_in_its_text(
    api: ScriptedApi, run: Run, tmp_path: Path, content: str, list_format: str
) -> None:
    take_list(api, list_format, relative=1)
    play(api, batch("DONE"))
    (tmp_path / "SUMS").write_text(content)
    assert run("send", "--manifest", str(tmp_path / "SUMS"), *TO).exit_code == 0
    assert text(api, list_format) == content.encode()
    assert order(api)["list_id"] == LIST_ID


def test_malformed_manifest_is_told_with_its_line_and_makes_no_batch(api: ScriptedApi, run: Run) -> None:
    api.script(send_to("sha256sums"), problem(422, "manifest_invalid", "Line 2 is no line of SHA256SUMS."))
    result = run("send", "--manifest", "-", *TO, stdin="x")
    assert (result.exit_code, api.calls(START)) == (2, [])
    assert "Line 2 is no line of SHA256SUMS." in result.stderr


def test_list_is_sent_whole_again_when_the_api_was_busy(api: ScriptedApi, run: Run) -> None:
    busy = problem(503, "lists_busy", "Other lists are arriving; try again.")
    api.script(send_to("paths"), busy)
    take_list(api, "paths")
    play(api, batch("DONE"))
    assert run("send", "--files-from", "-", *TO, stdin="/srv/a\n/srv/b").exit_code == 0
    assert [heard.body for heard in api.calls(send_to("paths"))] == [b"/srv/a\n/srv/b"] * 2


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("--files-from", "-"), "no path to send"),
        (("--manifest", "-"), "no path to send"),
        (("--files-from", "/nowhere/list"), "cannot be read"),
        (("--manifest", "/nowhere/list"), "cannot be read"),
        (("/srv/a", "--from0"), "--files-from"),
        (("/srv/a", "--files-from", "-"), "give either"),
        (("/srv/a", "--manifest", "-"), "give either"),
        (("--manifest", "-", "--files-from", "-"), "exclude each other"),
        (("--manifest", "-", "--exclude", "*.tmp"), "sent whole"),
        (("--manifest", "-", "--no-hidden"), "sent whole"),
    ],
)
def test_wrong_usage_asks_nothing_of_the_api(api: ScriptedApi, run: Run, args: tuple[str, ...], why: str) -> None:
    result = run("send", *args, *TO)
    assert (result.exit_code, api.heard) == (2, [])
    assert why in " ".join(result.stderr.replace("│", "").split())

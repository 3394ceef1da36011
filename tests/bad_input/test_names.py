"""Names of targets and objects: a target must be configured, and an object name must stay beneath its target."""

import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.table import INVALID, UNKNOWN_TARGET, Answer, Row, cases

TARGETS = {
    "unknown": "no-such-target",
    "other case": "DIRECTORY",
    "with a space": "directory ",
    "empty": "",
    "URL": "http://127.0.0.1:9/",
    "URL with a login": "https://user:password@files.example/",
    "path": "/srv/anywhere",
    "dots": "../../directory",
}
OBJECT_NAMES = {
    "dots": "../above.bin",
    "dots within": "a/../../above.bin",
    "dots only": "..",
    "one dot": "./here.bin",
    "leading slash": "/absolute.bin",
    "two slashes": "folder//file.bin",
    "trailing slash": "folder/",
    "empty": "",
    "NUL": "name\x00.bin",
    "CR": "name\r.bin",
    "LF": "name\n.bin",
    "header": "name\r\nX-Evil: 1",
    "part of 256 bytes": "x" * 256,
    "1,025 bytes": "x/" * 513,
    "as of a temporary object": f".gridhaul-{'0' * 24}-1.part",
}


IN_A_PATH = {
    **{name: text for name, text in TARGETS.items() if text and "/" not in text},
    "NUL": "%00",
    "newline at the end": "directory%0A",
    "operator": "[$ne]=directory",
}


@pytest.mark.parametrize(
    ("target", "answer"),
    [*cases(Row.TARGET, UNKNOWN_TARGET, IN_A_PATH), *cases(Row.TARGET, INVALID, {"long": "x" * 65})],
)
def test_only_a_configured_target_is_shown_and_probed(bench: Bench, target: str, answer: Answer) -> None:
    answer.require(bench.http.get(f"/targets/{target}"))
    answer.require(bench.http.post(f"/targets/{target}/probe"))


@pytest.mark.parametrize(
    ("target", "answer"), [*cases(Row.TARGET, UNKNOWN_TARGET, TARGETS), *cases(Row.TARGET, INVALID, {"long": "x" * 65})]
)
def test_only_a_configured_target_is_taken(bench: Bench, target: str, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(bench.prepare(str(bench.path), deliver_to={"target": target}))
        answer.require(bench.finalize({"target": target}))


@pytest.mark.parametrize(("name", "answer"), cases(Row.OBJECT_NAME, INVALID, OBJECT_NAMES))
def test_name_that_leaves_or_breaks_is_refused(bench: Bench, name: str, answer: Answer) -> None:
    deliver_to = {"target": "directory", "object_name": name}
    with bench.unchanged():
        answer.require(bench.prepare(str(bench.path), deliver_to=deliver_to))
        answer.require(bench.prepare(str(bench.path), name=name))
        answer.require(bench.finalize(deliver_to))

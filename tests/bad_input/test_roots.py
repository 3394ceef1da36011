"""Folders beneath the roots: only folders of the caller's own roots are listed, and nothing elsewhere is hinted at."""

import os
from collections.abc import Iterator

import httpx2
import pytest

from tests.bad_input.bench import Bench, key_of
from tests.bad_input.table import FORBIDDEN, INVALID, NOT_FOUND, Answer, Row, cases, trying
from tests.bad_input.test_paths import within_a_second
from tests.journeys.test_accounts import calling

OUTSIDE = {
    "dots": "../../../../../../../../etc",
    "dots to a sibling": "../other",
    "dots inside": "folder/../folder",
    "link to a folder": "to-etc",
    "link to a missing folder": "to-nothing",
    "beneath a link": "to-etc/ssl",
    "link with dots": "to-above",
}
FORMS = {
    "absolute": "/etc",
    "two slashes": "//etc",
    "NUL": "fol\x00der",
    "newline": "folder\n",
    "escape": "\x1b[2Jfolder",
    "4,096 bytes in one part": "x" * 4096,
    "300 bytes in one part": "x" * 300,
}
NO_FOLDER = {"file": "run.h5", "FIFO": "fifo", "FIFO through a link": "to-fifo"}
MISSING = {"missing": "absent", "beneath a file": "run.h5/absent", "percent": "%2e%2e"}


@pytest.fixture(scope="module")
def browser(bench: Bench) -> Iterator[httpx2.Client]:
    """Yield a client of an account whose only root is named `browsed`."""
    root = bench.root / "browsed"
    (root / "folder").mkdir(parents=True)
    (root / "run.h5").write_bytes(b"x")
    os.mkfifo(root / "fifo")
    for name, to in {"etc": "/etc", "nothing": "/none", "above": "..", "fifo": "fifo"}.items():
        (root / f"to-{name}").symlink_to(to)
    with calling(bench.system, key_of(bench.operator, "browser", roots=[str(root)])) as http:
        yield http


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        *cases(Row.OUTSIDE, Answer(403, "path_not_allowed"), OUTSIDE),
        *cases(Row.PATH, Answer(422, "path_invalid"), FORMS),
        *cases(Row.NO_FILE, Answer(422, "path_invalid"), NO_FOLDER),
        *cases(Row.SOURCE, Answer(404, "source_missing"), MISSING),
    ],
)
def test_path_that_is_no_folder_beneath_the_root_is_refused(browser: httpx2.Client, path: str, answer: Answer) -> None:
    answer.require(within_a_second(lambda: browser.get("/roots/browsed/entries", params={"path": path})))


@pytest.mark.parametrize(
    ("parameters", "answer"),
    cases(
        Row.ID,
        INVALID,
        {
            "cursor": {"cursor": "nonsense"},
            "cursor of another list": {"cursor": "0" * 24},
            "limit 0": {"limit": "0"},
            "limit 1,001": {"limit": "1001"},
            "limit a word": {"limit": "all"},
            "prefix of 256 characters": {"name_prefix": "x" * 256},
        },
    ),
)
def test_parameter_that_is_malformed_is_refused(
    browser: httpx2.Client, parameters: dict[str, str], answer: Answer
) -> None:
    answer.require(browser.get("/roots/browsed/entries", params=parameters))


@trying(Row.ID)
def test_root_that_is_unknown_or_not_the_callers_is_not_there(bench: Bench, browser: httpx2.Client) -> None:
    of_the_server = [root["name"] for root in bench.operator.http.get("/roots").json()["roots"]]
    assert len(of_the_server) == 1
    answers = [browser.get(f"/roots/{name}/entries") for name in (*of_the_server, "none", "x" * 2000)]
    for answer in answers:
        NOT_FOUND.require(answer)
    assert len({answer.json()["detail"] for answer in answers}) == 1


@trying(Row.GRANT)
def test_token_without_the_scope_sees_no_roots(browser: httpx2.Client, reader: httpx2.Client) -> None:
    for path in ("/roots", "/roots/browsed/entries"):
        FORBIDDEN.require(reader.get(path))
        assert browser.get(path).status_code == 200

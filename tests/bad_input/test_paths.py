"""Paths: the api takes only readable regular files beneath a root, and says nothing about files elsewhere."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.strict import MAX_FILE_BYTES, StrictApi, reads_everything
from tests.bad_input.table import Answer, Row, cases, trying
from tests.journeys.conftest import Remotes

NOT_ALLOWED = Answer(403, "path_not_allowed")
MALFORMED = Answer(422, "path_invalid")
NO_FILE = Answer(422, "not_a_regular_file")
OUTSIDE = {
    "dots": "{root}/../../../../../../../../etc/passwd",
    "dots to a sibling": "{root}/../../other",
    "no root": "/etc/passwd",
    "the whole disk": "/",
    "name that begins as a root": "{root}/../../../sources-evil",
    "link to a file": "{root}/to-passwd",
    "link to a missing file": "{root}/to-nothing",
    "beneath a link to a folder": "{root}/to-etc/passwd",
    "link with dots": "{root}/to-above",
    "magic link": "/proc/self/environ",
}
FORMS = {
    "empty": "",
    "relative": "delivered.bin",
    "dots only": "../delivered.bin",
    "home": "~/delivered.bin",
    "URL": "file:///etc/passwd",
    "NUL": "{root}/deliv\x00ered.bin",
    "newline": "{root}/delivered.bin\n",
    "return": "{root}/\rdelivered.bin",
    "escape": "{root}/\x1b[2Jdelivered.bin",
    "5,000 bytes": "{root}/" + "x/" * 2500,
    "5,000 bytes in one part": "{root}/" + "x" * 5000,
    "300 bytes in one part": "{root}/" + "x" * 300 + "/delivered.bin",
}
SPECIAL = {
    "folder": "{root}/folder",
    "folder with a slash": "{root}/folder/",
    "FIFO": "{root}/fifo",
    "FIFO through a link": "{root}/to-fifo",
    "socket": "{root}/socket",
}
MISSING = {
    "missing": "{root}/absent",
    "beneath a missing folder": "{root}/no/absent",
    "beneath a file": "{path}/absent",
}


@pytest.fixture(scope="module")
def furnished(bench: Bench) -> Iterator[Bench]:
    """Yield the bench with a folder, a FIFO, a socket and links beneath its root."""
    (bench.root / "folder").mkdir()
    os.mkfifo(bench.root / "fifo")
    links = {"passwd": "/etc/passwd", "nothing": "/etc/nothing", "etc": "/etc", "above": "../..", "fifo": "fifo"}
    for name, to in links.items():
        (bench.root / f"to-{name}").symlink_to(to)
    with socket.socket(socket.AF_UNIX) as listening:
        folder = os.open(bench.root, os.O_PATH)
        listening.bind(f"/proc/self/fd/{folder}/socket")  # a socket's path has at most 107 bytes: unix(7)
        os.close(folder)
        yield bench


def within_a_second(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """Return the answer of an attempt that took less than a second, out of three: the machine may be busy."""
    for _ in range(3):
        asked_at = time.monotonic()
        answer = ask()
        if time.monotonic() - asked_at < 1:
            return answer
    raise AssertionError("three requests took longer than a second each")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        *cases(Row.OUTSIDE, NOT_ALLOWED, OUTSIDE),
        *cases(Row.PATH, MALFORMED, FORMS),
        *cases(Row.NO_FILE, NO_FILE, SPECIAL),
        *cases(Row.SOURCE, Answer(404, "source_missing"), MISSING),
    ],
)
def test_path_that_is_no_file_beneath_a_root_is_refused_within_a_second(
    furnished: Bench, path: str, answer: Answer
) -> None:
    with furnished.unchanged():
        answer.require(within_a_second(lambda: furnished.prepare(furnished.filled(path))))


@trying(Row.OUTSIDE)
@pytest.mark.parametrize(
    ("existing", "missing"),
    [
        ("/etc/passwd", "/etc/nothing"),
        ("{root}/to-passwd", "{root}/to-nothing"),
        ("{root}/to-etc/passwd", "{root}/to-etc/nothing"),
        ("{root}/../../system", "{root}/../../nothing"),
    ],
)
def test_answer_to_a_path_outside_does_not_tell_whether_it_exists(
    furnished: Bench, existing: str, missing: str
) -> None:
    answers = [furnished.prepare(furnished.filled(path)).json() for path in (existing, missing)]
    assert len({answer.pop("instance") for answer in answers}) == 2
    assert answers[0] == answers[1]


@pytest.mark.parametrize(("path", "answer"), cases(Row.NO_FILE, NO_FILE, {"device": "/dev/zero", "null": "/dev/null"}))
def test_device_is_refused_within_a_second(strict: StrictApi, path: str, answer: Answer) -> None:
    answer.require(within_a_second(lambda: strict.prepare(path)))


@trying(Row.SOURCE)
def test_file_over_the_maximum_is_too_large(strict: StrictApi) -> None:
    path = strict.root / "large.bin"
    path.write_bytes(bytes(MAX_FILE_BYTES + 1))
    Answer(413, "source_too_large").require(strict.prepare(str(path)))


@trying(Row.SOURCE)
@pytest.mark.skipif(reads_everything(), reason="root reads every file, and setpriv, which could forbid it, is missing")
@pytest.mark.parametrize("of", ["file", "folder"])
def test_unreadable_file_is_refused(strict: StrictApi, of: str) -> None:
    folder = strict.root / f"unreadable-{of}"
    folder.mkdir()
    (folder / "file").write_bytes(b"x")
    (folder / "file" if of == "file" else folder).chmod(0)
    try:
        Answer(403, "source_unreadable").require(strict.prepare(str(folder / "file")))
    finally:
        folder.chmod(0o700)


@trying(Row.EMPTY)
def test_empty_file_is_accepted_and_delivered_with_0_bytes(bench: Bench, remotes: Remotes) -> None:
    path = bench.root / "empty.bin"
    path.touch()
    deliver_to = {"target": "directory", "object_name": "bad-input/empty.bin"}
    answer = bench.prepare(str(path), deliver_to=deliver_to)
    assert (answer.status_code, answer.json()["length"]) == (202, 0)
    delivery = bench.operator.delivered(answer.json()["file_id"])
    assert delivery["receipt"]["length"] == 0
    assert Path(remotes.directory / "bad-input" / "empty.bin").read_bytes() == b""

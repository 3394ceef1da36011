"""Sources that change while a running system reads them.

The chunk service is suspended while a test changes a source: the worker has then read the beginning and not the end.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from gridhaul.transfer.chunking import SEGMENT_MAX_BYTES
from tests.file_times import YEAR_2400
from tests.journeys.conftest import Remotes
from tests.journeys.operator import MIB, Json, Operator, sha256_of, wait_for
from tests.tasks.storing_bench import Change, append, replace_by_rename, rewrite, rewrite_mapped, touch_all_ways

LENGTH = 160 * MIB
READ_AT_LEAST = 2 * SEGMENT_MAX_BYTES
MAINTENANCE_SECONDS = 30  # enough for SWEEP_SECONDS and the next run of the dispatcher


@pytest.fixture
def path(sources: Path, request: pytest.FixtureRequest) -> Path:
    path = (
        sources / f"changing-{request.node.callspec.id if hasattr(request.node, 'callspec') else request.node.name}.bin"
    )
    with path.open("wb") as zeros:
        zeros.truncate(LENGTH)  # a sparse file: its zeros take no space
    return path


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A file whose source a worker is reading, and the id of its first content."""

    file_id: str
    content_id: object


@contextmanager
def half_read(operator: Operator, path: Path, **prepare: str) -> Iterator[Reading]:
    """Prepare the path, and run the block while the worker has read the first segments but cannot read the last."""
    before = {child.pid: _read_bytes(child) for child in _children(operator)}
    chunk_service = psutil.Process(operator.system.pid("chunk_service"))
    chunk_service.suspend()
    try:
        file_id = operator.prepare(path, **prepare)
        wait_for(lambda: operator.file(file_id)["state"] == "STORING", seconds=20, what="a worker stores the file")
        child = operator.holder_of("files")
        wait_for(lambda: _read_bytes(child) - before[child.pid] >= READ_AT_LEAST, seconds=20, what="the worker reads")
        yield Reading(file_id=file_id, content_id=_record(operator, file_id)["content_id"])
        assert operator.file(file_id)["stored_bytes"] == 0
    finally:
        chunk_service.resume()


def _children(operator: Operator) -> list[psutil.Process]:
    return psutil.Process(operator.system.pid("worker_large")).children()


def _read_bytes(process: psutil.Process) -> int:
    return int(process.io_counters().read_chars)


def _record(operator: Operator, file_id: str) -> Json:
    with operator.database() as database:
        return next(one for one in database["files"].find() if str(one["_id"]) == file_id)


def _failed(operator: Operator, file_id: str) -> str:
    """Wait until the file fails, and return the code of its error."""
    file = wait_for(
        lambda: file if (file := operator.file(file_id))["state"] in ("FAILED", "STORED") else None,
        seconds=60,
        what=f"file {file_id} is over",
    )
    assert file["state"] == "FAILED", file
    return str(file["error"]["code"])


CHANGES: dict[str, Change] = {
    "truncated": lambda path: os.truncate(path, 10 * MIB),
    "grown": append,
    "mtime put back": lambda path: rewrite(path, 10, b"other"),
    "through a mapping": lambda path: rewrite_mapped(path, 10, b"other"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_source_that_changes_while_it_is_read_is_not_delivered(
    operator: Operator, path: Path, remotes: Remotes, change: Change
) -> None:
    with half_read(operator, path, to="directory", object_name=path.name) as reading:
        change(path)
    assert _failed(operator, reading.file_id) == "source_changed"
    assert operator.deliveries(reading.file_id) == []
    assert not (remotes.directory / path.name).exists()


def _rename(path: Path) -> Path:
    return path.rename(path.with_name("renamed"))


@pytest.mark.parametrize("change", [touch_all_ways, Path.unlink, _rename], ids=["touched", "unlinked", "renamed"])
def test_source_of_the_same_bytes_is_delivered_whatever_else_happens_to_it(
    operator: Operator, path: Path, remotes: Remotes, change: Change
) -> None:
    sha256 = sha256_of(path)
    with half_read(operator, path, to="directory", object_name=path.name) as reading:
        change(path)
    operator.delivered(reading.file_id)
    assert sha256_of(remotes.directory / path.name) == sha256
    assert operator.file(reading.file_id)["attempts"] == 1


BETWEEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "replaced": (lambda path: replace_by_rename(path, bytes(LENGTH)), "source_changed"),
    "deleted": (Path.unlink, "source_missing"),
}


@pytest.mark.parametrize(("change", "code"), BETWEEN.values(), ids=BETWEEN)
def test_source_replaced_or_deleted_between_two_runs_is_not_delivered(
    operator: Operator, path: Path, change: Change, code: str
) -> None:
    with half_read(operator, path, to="directory", object_name=path.name) as reading:
        operator.operate("files", reading.file_id, "pause")
    change(path)
    operator.operate("files", reading.file_id, "resume")
    assert _failed(operator, reading.file_id) == code
    assert operator.deliveries(reading.file_id) == []


def test_source_deleted_before_the_start_is_missing(operator: Operator, path: Path) -> None:
    children = _children(operator)
    for child in children:
        child.suspend()
    try:
        file_id = operator.prepare(path)
        path.unlink()
    finally:
        for child in children:
            child.resume()
    assert _failed(operator, file_id) == "source_missing"


def test_policy_restart_delivers_the_new_bytes_and_nothing_stays_of_the_old(
    operator: Operator, path: Path, remotes: Remotes
) -> None:
    with half_read(operator, path, to="directory", object_name=path.name, if_changed="restart") as reading:
        rewrite(path, 10, b"other")
        append(path)
    operator.delivered(reading.file_id)
    assert sha256_of(remotes.directory / path.name) == sha256_of(path)
    file = operator.file(reading.file_id)
    assert (file["length"], file["attempts"], file["if_changed"]) == (LENGTH + 1, 2, "restart")
    assert _record(operator, reading.file_id)["content_id"] != reading.content_id
    _require_gone(operator, reading.content_id)


def test_source_that_is_dated_far_ahead_while_it_is_read_starts_over_and_is_stored(
    operator: Operator, path: Path
) -> None:
    with half_read(operator, path, if_changed="restart") as reading:
        os.utime(path, ns=(0, YEAR_2400))
        if path.stat().st_mtime_ns != YEAR_2400:
            pytest.skip("the file system of the sources cannot hold this time")
    operator.stored(reading.file_id)
    assert operator.file(reading.file_id)["attempts"] == 2


def test_retry_stores_the_source_as_it_is_now_and_nothing_stays_of_the_old(
    operator: Operator, path: Path, remotes: Remotes
) -> None:
    with half_read(operator, path, to="directory", object_name=path.name) as reading:
        rewrite(path, 10, b"other")
    assert _failed(operator, reading.file_id) == "source_changed"
    operator.operate("files", reading.file_id, "retry")
    operator.delivered(reading.file_id)
    assert sha256_of(remotes.directory / path.name) == sha256_of(path)
    _require_gone(operator, reading.content_id)


def _require_gone(operator: Operator, content_id: object) -> None:
    """Wait until the content's record is removed, and assert that no byte of the content is stored."""
    with operator.database() as database:

        def gone() -> bool:
            return database["contents"].find_one({"_id": content_id}) is None

        wait_for(gone, seconds=MAINTENANCE_SECONDS, what="the old content is swept")
        assert database["fs.chunks"].count_documents({"files_id": content_id}) == 0
        assert database["fs.files"].count_documents({"_id": content_id}) == 0

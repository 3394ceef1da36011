"""Prepare and retry of sources whose times are outside the range of signed 64-bit nanoseconds."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.states import STORABLE, FileState
from tests.api.service import Api, serving
from tests.contracts.ports import Ports
from tests.file_times import YEAR_1600, YEAR_1969, YEAR_2400
from tests.servers.mongod import in_memory


@pytest.fixture
def source() -> Iterator[Path]:
    """Yield a source in memory, because the file systems of most disks hold fewer years."""
    with in_memory() as directory:
        path = directory / "run.h5"
        path.write_bytes(b"bytes")
        yield path


@pytest.fixture
async def api(ports: Ports, source: Path) -> AsyncIterator[Api]:
    async with serving(ports, root=source.parent) as found:
        yield found


def _date(path: Path, nanoseconds: int) -> None:
    """Set the file's mtime. Skip the test if the file system cannot hold the time."""
    os.utime(path, ns=(0, nanoseconds))
    if path.stat().st_mtime_ns != nanoseconds:
        pytest.skip("the file system cannot hold this time")


async def _prepared(api: Api, ports: Ports, source: Path) -> File:
    answer = await api.http.post("/upload/prepare", json={"file_path": str(source)})
    assert answer.status_code == 202, answer.text
    return await _now(ports, answer.json()["file_id"])


async def _now(ports: Ports, file_id: str) -> File:
    file = await ports.files.get(RecordId(file_id))
    assert file is not None
    return file


@pytest.mark.parametrize("nanoseconds", [YEAR_2400, YEAR_1969, YEAR_1600])
async def test_source_of_any_year_is_registered(api: Api, ports: Ports, source: Path, nanoseconds: int) -> None:
    _date(source, nanoseconds)
    assert (await _prepared(api, ports, source)).source.identity.mtime_ns == nanoseconds


async def test_retry_registers_a_source_anew_that_was_dated_far_ahead(api: Api, ports: Ports, source: Path) -> None:
    before = await _prepared(api, ports, source)
    taken = await ports.files.claim(before.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert taken is not None
    await ports.files.finish(taken.lease, FileState.FAILED)
    _date(source, YEAR_2400)
    assert (await api.http.post(f"/files/{before.id}/retry")).status_code == 200
    after = await _now(ports, before.id)
    assert (after.source.identity.mtime_ns, after.content_outdated) == (YEAR_2400, True)
    assert (await api.http.post(f"/files/{before.id}/cancel")).status_code == 200
    assert (await api.http.post(f"/files/{before.id}/retry")).status_code == 200
    assert (await _now(ports, before.id)).source.identity == after.source.identity

"""A wrong stored byte over a real connection: it never leaves, and the connection ends before the declared length."""

from collections.abc import AsyncIterator

import pytest

from gridhaul.storage.connect import Database
from tests.api.downloadable import Raw, downloadable, flip_last_byte
from tests.api.service import Api
from tests.asgi.logged_service import Logged, logged
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import Ports

SMALL = 6 * MIB + 5
LARGE = 40 * MIB + 5


@pytest.fixture
async def log(api: Api) -> AsyncIterator[Logged]:
    async with logged(api.app) as found:
        yield found


async def received_of(log: Logged, path: str, **headers: str) -> tuple[int, int, bytes, list[str]]:
    """Return the status, the declared length, the received bytes, and the codes of errors that were logged."""
    raw = await Raw.asking(log, path, headers)
    head = await raw.head()
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
    body = await raw.rest()
    await log.requests(1)
    codes = [line["code"] for line in log.lines if line["event"] == "request_failed"]
    return int(head.split()[1]), int(fields["content-length"]), body, codes


@pytest.mark.parametrize(("length", "limit", "n"), [(LARGE, 0, 20), (LARGE, 0, 30), (LARGE, 0, 40)])
async def test_whole_file_with_a_wrong_chunk_is_cut_short(
    ports: Ports, database: Database, log: Logged, length: int, limit: int, n: int
) -> None:
    held = await downloadable(ports, some_bytes(length), inline_limit_chunks=limit)
    await flip_last_byte(database, held.content, n)
    status, declared, body, codes = await received_of(log, held.path)
    assert (status, declared, codes) == (200, length, ["chunk_corrupt"])
    assert len(body) <= n * MIB
    assert body == some_bytes(length)[: len(body)]


@pytest.mark.parametrize("n", [0, 3, 6])
@pytest.mark.parametrize("limit", [15, 0], ids=["inline", "gridfs"])
async def test_whole_small_file_with_a_wrong_chunk_is_not_begun(
    ports: Ports, database: Database, log: Logged, limit: int, n: int
) -> None:
    held = await downloadable(ports, some_bytes(SMALL), inline_limit_chunks=limit)
    await flip_last_byte(database, held.content, n)
    status, _, body, codes = await received_of(log, held.path)
    assert (status, codes, b"chunk_corrupt" in body) == (500, ["chunk_corrupt"], True)


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("limit", [15, 0], ids=["inline", "gridfs"])
async def test_range_with_a_wrong_chunk_is_cut_short_before_it_also_in_the_last_chunk(
    ports: Ports, database: Database, log: Logged, limit: int, n: int
) -> None:
    """The wrong byte is the last one of its chunk, and lies outside of the range if the chunk is the last one."""
    held = await downloadable(ports, some_bytes(SMALL), inline_limit_chunks=limit)
    await flip_last_byte(database, held.content, n)
    start, stop = MIB + 7, 4 * MIB + 9
    status, declared, body, codes = await received_of(log, held.path, Range=f"bytes={start}-{stop - 1}")
    assert (status, declared, codes) == (206, stop - start, ["chunk_corrupt"])
    assert body == some_bytes(SMALL)[start : n * MIB]


async def test_range_to_the_end_of_a_large_file_is_cut_short_before_a_wrong_last_chunk(
    ports: Ports, database: Database, log: Logged
) -> None:
    held = await downloadable(ports, some_bytes(LARGE), inline_limit_chunks=0)
    await flip_last_byte(database, held.content, 40)
    status, declared, body, codes = await received_of(log, held.path, Range="bytes=5-")
    assert (status, declared, codes) == (206, LARGE - 5, ["chunk_corrupt"])
    assert body == some_bytes(LARGE)[5 : 40 * MIB]

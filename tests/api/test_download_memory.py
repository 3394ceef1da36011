"""The memory that downloads hold while their clients read nothing: no more than the slots that they were given."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Iterator

import pytest

from api.download_limit import DOWNLOADS_MIB, WHOLE_MIB, range_mib
from gridhaul.transfer.chunking import chunk_count
from tests.api.downloadable import Downloadable, Raw, downloadable
from tests.api.service import Api
from tests.asgi.logged_service import Logged, logged
from tests.contracts.bytes_to_store import MIB
from tests.contracts.ports import Ports, eventually

LENGTH = 64 * MIB
SHARE_MIB = DOWNLOADS_MIB // 2


@pytest.fixture
async def log(api: Api) -> AsyncIterator[Logged]:
    async with logged(api.app) as found:
        yield found


@pytest.fixture
async def held(ports: Ports) -> Downloadable:
    return await downloadable(ports, bytes(LENGTH), inline_limit_chunks=0)


@pytest.fixture
def traced() -> Iterator[None]:
    """Note every allocation of Python's, also those of PyMongo."""
    gc.collect()
    tracemalloc.start(1)
    yield
    tracemalloc.stop()


async def held_mib(log: Logged, held: Downloadable, count: int, **headers: str) -> float:
    """Let so many clients ask, and read nothing but the head of the answer. Return the most MiB that were held."""
    before, _ = tracemalloc.get_traced_memory()
    clients = [await Raw.asking(log, held.path, headers) for _ in range(count)]
    for client in clients:
        assert (await client.head()).startswith("HTTP/1.1 20")
    await _settled()
    most = tracemalloc.get_traced_memory()[1] - before
    for client in clients:
        client.leave()
    await log.requests(count)
    return most / MIB


async def _settled() -> None:
    """Wait until the memory has stayed the same for half a second: then every download waits for its client."""
    looks: list[int] = []

    async def same() -> bool:
        looks.append(tracemalloc.get_traced_memory()[0] // MIB)
        await asyncio.sleep(0.05)
        return len(looks) > 10 and len(set(looks[-10:])) == 1

    assert await eventually(same)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("last", [1, MIB - 1, MIB, 3 * MIB, LENGTH])
async def test_ranges_hold_no_more_than_their_slots(log: Logged, held: Downloadable, last: int) -> None:
    count = SHARE_MIB // range_mib(chunk_count(last + 1))
    assert await held_mib(log, held, count, Range=f"bytes=1-{last}") <= SHARE_MIB


@pytest.mark.usefixtures("traced")
async def test_whole_files_hold_no_more_than_their_slots(log: Logged, held: Downloadable) -> None:
    count = SHARE_MIB // WHOLE_MIB
    assert await held_mib(log, held, count) <= SHARE_MIB

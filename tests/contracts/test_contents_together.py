"""The suite of the methods of `ContentDeletion` that act on many contents at once."""

import pytest

from gridhaul.storage.connect import Database
from gridhaul.transfer.errors import ChunkMissing, ContentUnknown, LeaseLost
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.ports.contents import Contents
from gridhaul.transfer.states import ContentState
from tests.contracts.bytes_to_store import MIB, opened, read, sealed, segment, some_bytes, store
from tests.contracts.ports import A_FILE, LONG_LEASE_SECONDS, Ports, eventually, memory_ports, mongo_ports

LENGTHS = (0, 5, 2 * MIB + 5)
ANOTHER_FILE = RecordId("b" * 24)


@pytest.fixture
def slow_sweep(storage: Database | None) -> Ports:
    """Return ports whose contents are not swept during a test."""
    if storage is None:
        return memory_ports(lease_seconds=LONG_LEASE_SECONDS, sweep_after_seconds=60)
    return mongo_ports(storage, lease_seconds=LONG_LEASE_SECONDS, sweep_after_seconds=60)


async def _sealed_ones(ports: Ports) -> list[Content]:
    """Return sealed contents of every layout, each of which `A_FILE` refers to."""
    return [await sealed(ports.contents, ports.intake_with(limit), some_bytes(n)) for n in LENGTHS for limit in (15, 0)]


async def _states(contents: Contents, some: list[Content]) -> list[ContentState | None]:
    found = [await contents.get(content.id) for content in some]
    return [None if content is None else content.state for content in found]


async def test_contents_without_refs_lose_their_bytes_and_owe_no_hint(ports: Ports) -> None:
    contents = await _sealed_ones(ports)
    await ports.contents.drop_refs({content.id: A_FILE for content in contents})
    assert await _states(ports.contents, contents) == [ContentState.DELETING] * len(contents)
    for content in contents:
        if content.length:
            with pytest.raises(ChunkMissing, match="Chunk 0"):
                await read(ports.contents, content)
        with pytest.raises(ContentUnknown):
            await ports.intake_with(15).digests(content.id, first=0, count=1)
    assert not await ports.agenda.due(10)


async def test_content_to_which_another_file_refers_stays(ports: Ports) -> None:
    data = some_bytes(5)
    kept, dropped = [await sealed(ports.contents, ports.intake_with(15), data) for _ in range(2)]
    await ports.contents.drop_refs({kept.id: ANOTHER_FILE, dropped.id: A_FILE})
    assert await _states(ports.contents, [kept, dropped]) == [ContentState.SEALED, ContentState.DELETING]
    assert await read(ports.contents, kept) == data


async def test_content_that_is_dropped_twice_or_while_it_is_written_is_gone(ports: Ports) -> None:
    data = some_bytes(2 * MIB + 5)
    content = await opened(ports.contents, len(data))
    await store(ports.intake_with(0), content, segment(data, 0, 1))
    for _ in range(2):
        await ports.contents.drop_refs({content.id: A_FILE})
    with pytest.raises(ContentUnknown):
        await store(ports.intake_with(0), content, segment(data, 1, 1))
    assert await _states(ports.contents, [content]) == [ContentState.DELETING]


async def test_content_that_was_dropped_before_it_was_made_is_never_made(ports: Ports) -> None:
    content_id = ports.contents.new_id()
    await ports.contents.drop_refs({content_id: A_FILE})
    with pytest.raises(LeaseLost):
        await opened(ports.contents, 5, content_id=content_id)


async def test_no_refs_drop_nothing_and_no_ids_sweep_nothing(ports: Ports) -> None:
    content = await sealed(ports.contents, ports.intake_with(15), b"x")
    await ports.contents.drop_refs({})
    await ports.contents.sweep_all([])
    assert await _states(ports.contents, [content]) == [ContentState.SEALED]


async def test_sweep_waits_until_nothing_can_come_late(slow_sweep: Ports) -> None:
    contents = await _sealed_ones(slow_sweep)
    await slow_sweep.contents.drop_refs({content.id: A_FILE for content in contents})
    await slow_sweep.contents.sweep_all([content.id for content in contents])
    assert await _states(slow_sweep.contents, contents) == [ContentState.DELETING] * len(contents)


async def test_once_it_is_time_all_dropped_contents_are_swept_and_others_stay(ports: Ports) -> None:
    contents, kept = await _sealed_ones(ports), await sealed(ports.contents, ports.intake_with(15), b"x")
    await ports.contents.drop_refs({content.id: A_FILE for content in contents})
    ids = [content.id for content in (*contents, kept)]

    async def swept() -> bool:
        await ports.contents.sweep_all([*ids, ports.contents.new_id()])
        return not any(await _states(ports.contents, contents))

    await eventually(swept)
    assert await read(ports.contents, kept) == b"x"
    await ports.contents.sweep_all(ids)

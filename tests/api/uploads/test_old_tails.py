"""An open tail of a request that was lost before the offset counted it: it never replaces bytes that count."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from api.named_digest import NamedDigests
from api.uploads.appending import complete
from gridhaul.transfer.errors import ChunkServiceUnavailable
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState
from tests.api.uploads.bodies import body_of
from tests.api.uploads.conftest import NewProcess
from tests.api.uploads.meanwhile import interrupted
from tests.api.uploads.process import Process
from tests.contracts.bytes_to_store import MIB, some_bytes

DATA = some_bytes(MIB + 300)
FIRST = MIB + 100  # bytes that count when the request is lost
Completing = Callable[[Process, File], Awaitable[object]]


async def killed() -> None:
    raise ChunkServiceUnavailable("The process that made this call is killed instead.")


async def by_its_digests(process: Process, file: File) -> None:
    await complete(process.parts, file, NamedDigests())


async def by_a_last_part_without_bytes(process: Process, file: File) -> None:
    await process.append(file, body_of([]), offset=len(DATA), ends_file=True)


@pytest.mark.parametrize("lost", [DATA[FIRST:] + bytes(100), b"other" * 60], ids=["the same bytes", "other bytes"])
@pytest.mark.parametrize("completed", [by_its_digests, by_a_last_part_without_bytes])
async def test_bytes_that_count_are_not_replaced_by_those_of_a_lost_request(
    process: Process, lost: bytes, completed: Completing
) -> None:
    file = await process.create(None, door=Door.RESUMABLE)
    await process.append(file, body_of([DATA[:FIRST]]))
    dying = replace(process, parts=interrupted(process.parts, "registry.advance", killed))
    with pytest.raises(ChunkServiceUnavailable):
        await dying.append(file, body_of([lost]), offset=FIRST)
    assert await process.append(file, body_of([DATA[FIRST:]]), offset=FIRST, length=len(DATA)) == len(DATA)
    await completed(process, await process.file(file.id))
    assert (await process.file(file.id)).state is FileState.STORED
    assert await process.stored(file) == DATA


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_last_bytes_that_only_the_tail_holds_stay_there_until_they_are_a_chunk(
    starting: NewProcess, elsewhere: bool
) -> None:
    """The request that named the length was lost before it stored the tail as the last chunk."""
    process, other = starting(), starting()
    file = await process.create(None, door=Door.RESUMABLE)
    await process.append(file, body_of([DATA]))
    dying = replace(process, parts=interrupted(process.parts, "chunks.put", killed))
    with pytest.raises(ChunkServiceUnavailable):
        await dying.append(file, body_of([]), offset=len(DATA), length=len(DATA))
    await by_a_last_part_without_bytes(other if elsewhere else process, file)
    now = await process.file(file.id)
    assert now.content_id is not None
    if elsewhere:
        assert (now.state, [hint.record_id for hint in other.hints]) == (FileState.STORING, [file.id])
        tail = await process.ports.contents.tail(now.content_id)
        assert tail is not None
        assert tail.data == DATA[MIB:]
    else:
        assert now.state is FileState.STORED
        assert await process.stored(file) == DATA

"""The door of parallel uploads beside other requests for the same upload: a lost lease is a conflict, never a fault."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256

import httpx2
import pytest

from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState
from tests.api.service import Api, serving
from tests.api.uploads.doors import TOKEN, address, hold, put_chunks, require
from tests.api.uploads.meanwhile import Happens, interrupted
from tests.api.uploads.process import Process
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import Ports

DATA = some_bytes(MIB + 5)
NAMED, OTHER = sha256(DATA).hexdigest(), "0" * 64

Send = Callable[[Api, File, int], Awaitable[httpx2.Response]]


async def take(api: Api, file: File, fence: int) -> httpx2.Response:
    return await api.http.post(f"{address(file)}/hold")


async def look(api: Api, file: File, fence: int) -> httpx2.Response:
    return await api.http.get(f"{address(file)}/digests", headers={"Lease-Fence": str(fence)})


async def put(api: Api, file: File, fence: int) -> httpx2.Response:
    return await put_chunks(api, file, fence, DATA, 0, 2)


async def complete(api: Api, file: File, fence: int, digest: str | None = NAMED) -> httpx2.Response:
    named = {} if digest is None else {"sha-256": digest}
    return await api.http.post(f"{address(file)}/complete", headers={"Lease-Fence": str(fence)}, json=named)


CALLS: dict[str, tuple[Send, str]] = {  # a request, and the call before which the lease is lost
    "hold": (take, "contents.open"),
    "put, before the chunks": (put, "chunks.put"),
    "put, before the note": (put, "registry.note_stored"),
    "complete, before the digest": (complete, "registry.name_digests"),
    "complete, before the end": (complete, "registry.begin_storing"),
}
each_call = pytest.mark.parametrize(("send", "call"), CALLS.values(), ids=CALLS)


async def uploaded(api: Api, process: Process) -> tuple[File, int]:
    """Return a parallel upload all of whose chunks are stored, and the fence under which they are."""
    file = await process.create(len(DATA), door=Door.CHUNKS, token=TOKEN)
    fence = await hold(api, file)
    assert (await put(api, file, fence)).status_code == 204
    return await process.file(file.id), fence


async def sent_late(
    ports: Ports, process: Process, send: Send, call: str, happens: Happens, file: File, fence: int
) -> httpx2.Response:
    """Send the request to a process in which something happens before the call."""
    async with serving(ports, uploads=interrupted(process.parts, call, happens)) as late:
        return await send(late, file, fence)


@each_call
async def test_lease_that_another_client_takes_meanwhile_is_a_stale_fence(
    api: Api, ports: Ports, process: Process, send: Send, call: str
) -> None:
    file, fence = await uploaded(api, process)
    require(await sent_late(ports, process, send, call, lambda: hold(api, file), file, fence), 409, "stale_fence")
    assert (await process.file(file.id)).state is FileState.RECEIVING
    fence = await hold(api, file)
    assert (await complete(api, file, fence)).status_code in (200, 202)


@each_call
async def test_upload_that_is_cancelled_meanwhile_is_gone(
    api: Api, ports: Ports, process: Process, send: Send, call: str
) -> None:
    file, fence = await uploaded(api, process)

    async def cancel() -> None:
        await api.http.post(f"/files/{file.id}/cancel")
        now = await process.file(file.id)
        assert now.content_id == file.content_id
        content = await ports.contents.get(file.content_id or file.id)
        assert content is not None
        await ports.contents.abandon(content)  # as the deletion does, which follows

    require(await sent_late(ports, process, send, call, cancel, file, fence), 410, "upload_gone")
    assert (await process.file(file.id)).state is FileState.CANCELLED


@pytest.mark.parametrize(("cancelled", "status", "code"), [(False, 409, "stale_fence"), (True, 410, "upload_gone")])
async def test_digests_of_a_content_that_is_gone_meanwhile_are_not_told(
    api: Api, ports: Ports, process: Process, cancelled: bool, status: int, code: str
) -> None:
    file, fence = await uploaded(api, process)

    async def remove() -> None:
        if cancelled:
            await api.http.post(f"/files/{file.id}/cancel")
        content = await ports.contents.get(file.content_id or file.id)
        assert content is not None
        await ports.contents.abandon(content)

    require(await sent_late(ports, process, look, "chunks.digests", remove, file, fence), status, code)


@pytest.mark.parametrize("call", ["chunks.digests", "registry.name_digests", "registry.begin_storing"])
async def test_complete_of_an_upload_that_an_earlier_attempt_finishes_is_answered_with_the_file(
    api: Api, ports: Ports, process: Process, call: str
) -> None:
    file, fence = await uploaded(api, process)
    answer = await sent_late(ports, process, complete, call, lambda: complete(api, file, fence), file, fence)
    now = await process.file(file.id)
    expected = {
        FileState.STORED: 200,
        FileState.STORING: 202,
    }
    assert answer.status_code == expected[now.state], answer.text


async def test_clients_that_hold_at_once_have_one_fence_each_or_are_told_that_it_is_stale(
    api: Api, process: Process
) -> None:
    for _ in range(5):
        file = await process.create(len(DATA), door=Door.CHUNKS, token=TOKEN)
        answers = await asyncio.gather(*(take(api, file, 0) for _ in range(8)))
        assert {answer.status_code for answer in answers} <= {200, 409}
        held = [answer.json()["fence"] for answer in answers if answer.status_code == 200]
        assert len(held) == len(set(held))
        assert (await process.file(file.id)).fence in held
        assert (await put(api, file, max(held))).status_code == 204


async def test_complete_with_another_digest_than_the_one_named_at_the_beginning_changes_nothing(
    api: Api, process: Process
) -> None:
    file = await process.create(len(DATA), door=Door.CHUNKS, token=TOKEN, sha256=NAMED)
    fence = await hold(api, file)
    assert (await put(api, file, fence)).status_code == 204
    before = await process.file(file.id)
    require(await complete(api, file, fence, OTHER), 422, "digest_mismatch")
    assert await process.file(file.id) == before
    assert (await complete(api, file, fence, None)).status_code == 200
    assert await process.stored(file) == DATA

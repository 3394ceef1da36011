"""The doors of uploads over HTTP, in the cases that need a certain moment or a certain memory."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from api.uploads.receiving import Receiving
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState
from tests.api.service import Api, serving
from tests.api.uploads.bodies import body_of
from tests.api.uploads.conftest import NewProcess
from tests.api.uploads.doors import BYTES, TOKEN, TUS, address, hold, newest, put_chunks, require
from tests.api.uploads.process import OWNER, Process
from tests.api.uploads.test_form import TYPE, form, part
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import Ports

LARGE = some_bytes(17 * MIB + 5)


async def received(process: Process, data: bytes) -> File:
    """Return an upload whose process died right after it had received the last byte."""
    file = await process.create(len(data), token=TOKEN)
    async with process.parts.holdings.hold(file) as held:
        receiving = Receiving(process.parts, held)
        await receiving.read(body_of([data]))
        receiving.close()
    return file


@pytest.mark.parametrize("data", [b"", LARGE], ids=["empty", "large"])
async def test_head_of_an_upload_with_all_its_bytes_lets_it_be_stored(api: Api, process: Process, data: bytes) -> None:
    file = await received(process, data)
    answer = await api.http.head(address(file), headers=TUS)
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (200, str(len(data)))
    assert (await process.file(file.id)).state in (FileState.STORING, FileState.STORED)
    again = await api.http.head(address(file), headers=TUS)
    assert (again.status_code, again.headers["Upload-Offset"]) == (200, str(len(data)))


async def test_repeat_of_the_last_patch_is_answered_and_stores_the_file(api: Api, process: Process) -> None:
    file = await received(process, LARGE)
    headers = {**BYTES, "Upload-Offset": str(len(LARGE))}
    for _ in range(2):
        answer = await api.http.patch(address(file), headers=headers, content=b"")
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(len(LARGE)))
    assert (await process.file(file.id)).state is FileState.STORED


async def test_head_does_not_take_a_parallel_upload_from_its_client(api: Api, process: Process) -> None:
    file = await process.create(len(LARGE), door=Door.CHUNKS, token=TOKEN)
    fence = await hold(api, file)
    assert (await api.http.head(address(file), headers=TUS)).status_code == 409
    assert (await process.file(file.id)).fence == fence


@pytest.mark.parametrize("field", ["Upload-Checksum", "Upload-Metadata"])
async def test_field_that_is_not_ascii_is_malformed(api: Api, process: Process, field: str) -> None:
    text = {"Upload-Checksum": b"sha1 \xe9", "Upload-Metadata": b"filename \xe9"}[field]
    others = {**BYTES, "Upload-Length": "5"}
    headers = [*((name.encode(), value.encode()) for name, value in others.items()), (field.encode(), text)]
    answer = await api.http.post("/uploads", headers=headers, content=b"12345")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_file_of_a_form_that_ends_early_is_not_stored(api: Api, process: Process) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="run.h5"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for data in (b"da", LARGE):
        answer = await api.http.post("/files", headers=headers, content=head + data)
        require(answer, 400, "malformed")
        assert (await newest(api, process)).state is FileState.DELETING
    answer = await api.http.post("/files", headers=headers, content=head + b"data\r\n--b--")
    assert (answer.status_code, answer.json()["files"][0]["length"]) == (201, 4)


@pytest.mark.parametrize("count", [1, 4, 16])
async def test_segments_that_arrive_at_once_never_wait_for_each_others_memory(
    ports: Ports, starting: NewProcess, count: int
) -> None:
    """With a part of its segment's memory, each request would wait for ever for what the others hold."""
    process, data = starting(memory_chunks=16), some_bytes(32 * MIB)
    async with serving(ports, uploads=process.parts) as api, asyncio.timeout(60):
        file = await process.create(len(data), door=Door.CHUNKS, token=TOKEN)
        fence = await hold(api, file)
        puts = (put_chunks(api, file, fence, data, first, count) for first in range(0, 32, count))
        assert {answer.status_code for answer in await asyncio.gather(*puts)} == {204}
        headers = {"Lease-Fence": str(fence)}
        answer = await api.http.post(f"{address(file)}/complete", headers=headers, json={})
        assert answer.status_code in (200, 202)
        if answer.status_code == 200:
            assert await process.stored(file) == data


async def test_segment_for_which_there_is_no_memory_is_refused_before_its_first_byte_is_read(
    ports: Ports, starting: NewProcess
) -> None:
    process, data = starting(memory_chunks=16, turn_seconds=0.01), some_bytes(4 * MIB)
    async with serving(ports, uploads=process.parts) as api, process.parts.memory.hold(OWNER, chunks=3):
        file = await process.create(len(data), door=Door.CHUNKS, token=TOKEN)
        fence = await hold(api, file)
        refused = await put_chunks(api, file, fence, data, 0, 4)
        assert (refused.status_code, refused.json()["code"]) == (503, "uploads_busy")
        assert "Retry-After" in refused.headers
        assert (await put_chunks(api, file, fence, data, 0, 3)).status_code == 204


@pytest.mark.parametrize(("method", "path"), [("POST", "/files"), ("POST", "/uploads"), ("PUT", "/uploads")])
async def test_form_for_which_there_is_no_memory_is_refused_before_its_first_byte_is_read(
    ports: Ports, starting: NewProcess, method: str, path: str
) -> None:
    process, taken = starting(memory_chunks=16, turn_seconds=0.01), list[bytes]()

    async def body() -> AsyncIterator[bytes]:
        taken.append(form(part("file", b"bytes", "run.h5")))
        yield taken[-1]

    async with serving(ports, uploads=process.parts) as api:
        async with process.parts.memory.hold(OWNER, chunks=6):
            refused = await api.http.request(method, path, headers={"Content-Type": TYPE}, content=body())
            require(refused, 503, "uploads_busy")
            assert taken == []
            assert (await api.http.get("/files")).json()["files"] == []
        answer = await api.http.request(method, path, headers={"Content-Type": TYPE}, content=body())
        assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("length", [0, 1, MIB, 3 * MIB + 5])
async def test_chunks_in_order_are_stored_without_another_reading(api: Api, process: Process, length: int) -> None:
    data = some_bytes(length)
    file = await process.create(length, door=Door.CHUNKS, token=TOKEN)
    fence = await hold(api, file)
    for first in range(file.chunk_count):
        assert (await put_chunks(api, file, fence, data, first, 1)).status_code == 204
    answer = await api.http.post(f"{address(file)}/complete", headers={"Lease-Fence": str(fence)}, json={})
    assert (answer.status_code, answer.json()["state"]) == (200, "STORED")
    assert await process.stored(file) == data

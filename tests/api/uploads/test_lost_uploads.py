"""Uploads whose first request fails: one that its client cannot continue ends at once, and its quota is free again."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from gridhaul.transfer.model import File, TaskName
from gridhaul.transfer.states import FileState
from tests.api.service import Api, serving
from tests.api.uploads.bodies import body_of, hanging
from tests.api.uploads.conftest import NewProcess
from tests.api.uploads.doors import BYTES, TUS, broken_off, newest, require, require_unanswered
from tests.api.uploads.meanwhile import interrupted
from tests.api.uploads.process import OWNER, Process
from tests.contracts.ports import Ports

DATA = b"0123456789"
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
FORM_HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
KNOWN = {**BYTES, "Upload-Length": "10"}
UNKNOWN = {**BYTES, "Upload-Defer-Length": "1"}

Body = AsyncIterator[bytes]
Send = Callable[[Api, Body], Awaitable[httpx2.Response]]


async def named(api: Api, body: Body) -> httpx2.Response:
    return await api.http.put("/named/x", content=body)


async def raw(api: Api, body: Body) -> httpx2.Response:
    return await api.http.post("/files", content=body)


async def form(api: Api, body: Body) -> httpx2.Response:
    async def parts() -> Body:
        yield FORM_HEAD
        async for part in body:
            yield part
        yield b"\r\n--b--\r\n"

    return await api.http.post("/files", content=parts(), headers=FORM)


async def tus(api: Api, body: Body, headers: Mapping[str, str] = KNOWN) -> httpx2.Response:
    return await api.http.post("/uploads", content=body, headers=dict(headers))


async def tus_of_unknown_length(api: Api, body: Body) -> httpx2.Response:
    return await tus(api, body, UNKNOWN)


def require_ended(api: Api, file: File) -> None:
    assert file.state is FileState.DELETING
    assert (TaskName.DELETE_FILE.value, file.id) in api.hinted(), "a worker deletes the record and frees its quota"


@asynccontextmanager
async def changed(ports: Ports, process: Process, **parts: Any) -> AsyncIterator[Api]:
    """Serve the process with some of its parts changed."""
    async with serving(ports, uploads=replace(process.parts, **parts)) as api:
        yield api


@pytest.mark.parametrize("send", [named, raw, tus])
async def test_upload_for_which_there_is_no_memory_ends(ports: Ports, starting: NewProcess, send: Send) -> None:
    process = starting(memory_chunks=16, turn_seconds=0.01)
    async with changed(ports, process) as api, process.parts.memory.hold(OWNER, chunks=6):
        answer = await send(api, body_of([DATA]))
        require(answer, 503, "uploads_busy")
        assert "Location" not in answer.headers
        require_ended(api, await newest(api, process))


@pytest.mark.parametrize("send", [named, raw, form, tus_of_unknown_length])
async def test_upload_that_is_too_large_ends(ports: Ports, process: Process, send: Send) -> None:
    async with changed(ports, process, max_file_bytes=9) as api:
        answer = await send(api, body_of([DATA]))
        require(answer, 413, "payload_too_large")
        assert "Location" not in answer.headers
        require_ended(api, await newest(api, process))


async def test_tus_upload_whose_first_bytes_have_another_checksum_ends(api: Api, process: Process) -> None:
    checksum = base64.b64encode(bytes(20)).decode()
    answer = await tus(api, body_of([DATA]), {**KNOWN, "Upload-Checksum": f"sha1 {checksum}"})
    require(answer, 460, "checksum_mismatch")
    assert "Location" not in answer.headers
    require_ended(api, await newest(api, process))


@pytest.mark.parametrize("send", [raw, form, tus])
async def test_upload_that_breaks_off_ends_if_nobody_knows_its_address(api: Api, process: Process, send: Send) -> None:
    await require_unanswered(send(api, broken_off(DATA[:4])))
    require_ended(api, await newest(api, process))


@pytest.mark.parametrize(("send", "status"), [(raw, 408), (form, 408), (tus, None)])
async def test_upload_whose_body_stands_still_ends_if_nobody_knows_its_address(
    ports: Ports, process: Process, send: Send, status: int | None
) -> None:
    async with changed(ports, process, stall_seconds=0.05) as api:
        if status is None:
            await require_unanswered(send(api, hanging([DATA[:4]])))
        else:
            require(await send(api, hanging([DATA[:4]])), status, "request_timeout")
        require_ended(api, await newest(api, process))


async def test_named_upload_that_breaks_off_is_kept_only_with_bytes(api: Api, process: Process) -> None:
    await require_unanswered(named(api, broken_off(DATA[:4])))
    kept = await newest(api, process)
    assert (kept.state, kept.stored_bytes) == (FileState.RECEIVING, 4)
    await require_unanswered(named(api, broken_off()))
    require_ended(api, await newest(api, process))
    assert (await process.file(kept.id)).state is FileState.RECEIVING


async def test_tus_upload_that_is_refused_after_its_first_bytes_can_be_continued(api: Api, process: Process) -> None:
    answer = await tus(api, body_of([DATA[:4], bytes(7)]))
    require(answer, 413, "payload_too_large")
    path = answer.headers["Location"].removeprefix("http://api")
    file = await newest(api, process)
    assert (file.state, file.stored_bytes, api.hinted()) == (FileState.RECEIVING, 4, [])
    assert (await api.http.head(path, headers=TUS)).headers["Upload-Offset"] == "4"
    patched = await api.http.patch(path, content=DATA[4:], headers={**BYTES, "Upload-Offset": "4"})
    assert patched.status_code == 204
    assert await process.stored(file) == DATA


async def test_creation_that_another_request_takes_over_is_not_answered_and_loses_nothing(
    api: Api, process: Process, starting: NewProcess
) -> None:
    """The list of files shows the address, so somebody may continue an upload while its creation still hangs."""
    all_taken = asyncio.Event()
    creation = asyncio.ensure_future(tus(api, hanging([DATA[:4]], all_taken=all_taken)))
    await all_taken.wait()
    file = await newest(api, process)
    async with starting().parts.holdings.hold(file) as held:
        assert held.file.stored_bytes == 4
    await require_unanswered(creation)
    now = await process.file(file.id)
    assert (now.state, now.stored_bytes) == (FileState.RECEIVING, 4)


async def test_creation_whose_upload_somebody_finishes_is_answered_with_its_address(
    ports: Ports, process: Process
) -> None:
    async def finish() -> None:
        file = await newest(api, process)
        await process.append(file, body_of([DATA]))

    async with serving(ports, uploads=interrupted(process.parts, "registry.take", finish)) as api:
        answer = await tus(api, body_of([DATA]))
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "10")
        file = await newest(api, process)
        assert file.id in answer.headers["Location"]
    assert await process.stored(file) == DATA


async def test_lost_upload_that_the_next_request_has_taken_stays(ports: Ports, process: Process) -> None:
    async def take() -> None:
        file = await newest(api, process)
        assert await process.parts.registry.take(file.id, holder="next", new_content_id=ports.contents.new_id())

    async with serving(ports, uploads=interrupted(process.parts, "registry.discard", take)) as api:
        await require_unanswered(named(api, broken_off()))
        assert (await newest(api, process)).state is FileState.RECEIVING


async def test_named_upload_of_which_no_byte_arrives_ends(api: Api, process: Process) -> None:
    headers = {"Content-Range": "bytes 0-999/1000"}
    require(await api.http.put("/named/x", content=body_of([]), headers=headers), 422, "length_mismatch")
    require_ended(api, await newest(api, process))


async def test_files_of_a_form_before_the_one_that_is_lost_are_kept(api: Api, process: Process) -> None:
    body = body_of([FORM_HEAD, DATA, b"\r\n", FORM_HEAD, DATA[:4]])
    require(await api.http.post("/files", content=body, headers=FORM), 400, "malformed")
    lost, whole = (await api.http.get("/files", params={"limit": 2})).json()["files"]
    assert (lost["state"], whole["state"], whole["length"]) == ("DELETING", "STORED", len(DATA))
    require_ended(api, await newest(api, process))

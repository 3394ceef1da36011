"""A client of which nothing comes any more: at a door of tus the connection ends, elsewhere the answer is 408."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState
from tests.api.service import Api, serving
from tests.api.uploads.bodies import body_of, hanging
from tests.api.uploads.doors import BYTES, TOKEN, address, hold, newest, require, require_unanswered
from tests.api.uploads.process import Process
from tests.contracts.bytes_to_store import segment
from tests.contracts.ports import Ports

DATA = b"0123456789"
STALL_SECONDS = 0.05


@pytest.fixture
async def impatient(ports: Ports, process: Process) -> AsyncIterator[Api]:
    async with serving(ports, uploads=replace(process.parts, stall_seconds=STALL_SECONDS)) as api:
        yield api


async def require_stored(process: Process, file: File, stored: int) -> None:
    now = await process.file(file.id)
    assert (now.state, now.stored_bytes) == (FileState.RECEIVING, stored)


@pytest.mark.parametrize(("method", "override"), [("PATCH", {}), ("POST", {"X-HTTP-Method-Override": "PATCH"})])
async def test_patch_of_tus_is_not_answered_and_its_bytes_are_stored(
    impatient: Api, process: Process, method: str, override: dict[str, str]
) -> None:
    file = await process.create(len(DATA), token=TOKEN)
    headers = {**BYTES, "Upload-Offset": "0", **override}
    await require_unanswered(
        impatient.http.request(method, address(file), content=hanging([DATA[:4]]), headers=headers)
    )
    await require_stored(process, file, 4)
    await process.append(file, body_of([DATA[4:]]), offset=4)
    assert await process.stored(file) == DATA


async def test_named_upload_is_answered_and_its_bytes_are_stored(impatient: Api, process: Process) -> None:
    answer = await impatient.http.put("/named/x", content=hanging([DATA[:4]]), headers={"Content-Length": "10"})
    require(answer, 408, "request_timeout")
    assert answer.headers["Connection"] == "close"
    await require_stored(process, await newest(impatient, process), 4)


async def test_chunk_is_answered_and_not_stored(impatient: Api, process: Process) -> None:
    file = await process.create(len(DATA), door=Door.CHUNKS, token=TOKEN)
    digests = write_chunk_digests(segment(DATA).digests)
    headers = {"Lease-Fence": str(await hold(impatient, file)), "Chunk-Digests": digests, "Content-Length": "10"}
    answer = await impatient.http.put(f"{address(file)}/chunks/0", content=hanging([DATA[:4]]), headers=headers)
    require(answer, 408, "request_timeout")
    await require_stored(process, file, 0)

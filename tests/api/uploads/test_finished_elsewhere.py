"""A request whose upload somebody else finishes or stores between its first look at the record and its own write."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from api.uploads.parts import UploadParts
from api.uploads.receiving import Receiving
from gridhaul.transfer.access import Caller, Scope
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState
from tests.api.service import Api, serving
from tests.api.uploads.bodies import body_of
from tests.api.uploads.doors import BYTES, TOKEN, TUS, address, broken_off, newest, require, require_unanswered
from tests.api.uploads.meanwhile import interrupted
from tests.api.uploads.process import Process
from tests.contracts.ports import Ports

DATA = b"0123456789"


class _With:
    """An authenticator that gives every caller these scopes alone."""

    def __init__(self, authenticator: Any, scopes: frozenset[Scope]) -> None:
        self._authenticator = authenticator
        self._scopes = scopes

    async def caller(self, token: str) -> Caller:
        caller: Caller = await self._authenticator.caller(token)
        return replace(caller, scopes=self._scopes)


async def begun(process: Process) -> File:
    """Return a tus upload of which 4 bytes are stored."""
    file = await process.create(len(DATA), token=TOKEN)
    await process.append(file, body_of([DATA[:4]]))
    return file


async def patch(api: Api, file: File, *, offset: int = 4, data: bytes = DATA[4:]) -> Any:
    return await api.http.patch(address(file), content=data, headers={**BYTES, "Upload-Offset": str(offset)})


@pytest.mark.parametrize(
    ("scopes", "status", "state"),
    [
        ((Scope.PREPARE,), 403, FileState.STORED),
        ((Scope.PREPARE, Scope.DELETE), 204, FileState.DELETING),
    ],
    ids=["without the scope", "with the scope"],
)
async def test_delete_beside_the_last_patch_deletes_a_stored_file_only_with_the_scope(
    api: Api, ports: Ports, process: Process, scopes: tuple[Scope, ...], status: int, state: FileState
) -> None:
    file = await begun(process)
    parts = interrupted(process.parts, "registry.discard", lambda: patch(api, file))
    assert await _delete(ports, parts, file, scopes) == status
    assert (await process.file(file.id)).state is state
    if state is FileState.STORED:
        assert await process.stored(file) == DATA


async def test_delete_beside_the_last_patch_does_not_take_the_file_from_a_worker(
    ports: Ports, process: Process
) -> None:
    file = await begun(process)
    parts = interrupted(process.parts, "registry.discard", lambda: _left_to_workers(ports, process, file))
    assert await _delete(ports, parts, file, (Scope.PREPARE,)) == 403
    assert (await process.file(file.id)).state is FileState.STORING


async def test_delete_of_an_unfinished_upload_does_not_need_the_scope(ports: Ports, process: Process) -> None:
    file = await begun(process)
    assert await _delete(ports, process.parts, file, (Scope.PREPARE,)) == 204
    assert (await process.file(file.id)).state is FileState.DELETING


async def _delete(ports: Ports, parts: UploadParts, file: File, scopes: Sequence[Scope]) -> int:
    """Send DELETE to the address with a token of these scopes. Return the status."""
    async with serving(ports, uploads=parts) as api:
        narrow: Any = _With(api.app.state.service.authenticator, frozenset(scopes))
        api.app.state.service = replace(api.app.state.service, authenticator=narrow)
        return (await api.http.delete(address(file), headers=TUS)).status_code


async def _left_to_workers(ports: Ports, process: Process, file: File) -> None:
    """Receive the last bytes, and then do what a worker does that finds them unfinished."""
    async with process.parts.holdings.hold(await process.file(file.id)) as held:
        receiving = Receiving(process.parts, held)
        await receiving.read(body_of([DATA[4:]]))
        receiving.close()
    soon = ports.uploads_left_after(0)
    await soon.let_go(held.lease)
    assert await soon.leave_to_workers(file.id)


@pytest.mark.parametrize(
    ("offset", "data", "status"),
    [(4, DATA[4:], 204), (10, b"", 204), (4, DATA[4:9], 409), (0, b"", 409)],
    ids=["the last bytes", "none at the end", "too few", "none at the beginning"],
)
async def test_patch_of_an_upload_that_another_process_finished_meanwhile(
    api: Api, ports: Ports, process: Process, offset: int, data: bytes, status: int
) -> None:
    file = await begun(process)
    parts = interrupted(process.parts, "registry.take", lambda: patch(api, file))
    async with serving(ports, uploads=parts) as late:
        answer = await patch(late, file, offset=offset, data=data)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (status, str(len(DATA)))
    assert await process.stored(file) == DATA


async def test_patch_of_an_upload_that_a_worker_finishes_is_answered(ports: Ports, process: Process) -> None:
    file = await begun(process)
    parts = interrupted(process.parts, "registry.take", lambda: _left_to_workers(ports, process, file))
    async with serving(ports, uploads=parts) as late:
        answer = await patch(late, file)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(len(DATA)))
    assert (await process.file(file.id)).state is FileState.STORING


async def test_patch_of_an_upload_that_was_cancelled_meanwhile_is_refused(
    api: Api, ports: Ports, process: Process
) -> None:
    file = await begun(process)
    parts = interrupted(process.parts, "registry.take", lambda: api.http.post(f"/files/{file.id}/cancel"))
    async with serving(ports, uploads=parts) as late:
        require(await patch(late, file), 410, "upload_gone")


async def test_put_of_an_upload_that_another_process_finished_meanwhile_is_answered_with_the_file(
    api: Api, ports: Ports, process: Process
) -> None:
    await require_unanswered(api.http.put("/named/x", content=broken_off(DATA[:4]), headers={"Content-Length": "10"}))
    file = await newest(api, process)
    assert file.upload
    assert file.upload.door is Door.PUT

    def put(through: Api) -> Any:
        return through.http.put("/named/x", content=DATA[4:], headers={"Content-Range": "bytes 4-9/10"})

    async with serving(ports, uploads=interrupted(process.parts, "registry.take", lambda: put(api))) as late:
        answer = await put(late)
    assert (answer.status_code, answer.json()["file_id"], answer.json()["state"]) == (201, file.id, "STORED")

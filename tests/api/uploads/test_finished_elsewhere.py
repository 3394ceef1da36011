"""A request whose upload somebody else finishes or stores between its first look at the record and its own write."""

from dataclasses import replace
from typing import Any

import pytest

from api.uploads.holding import Held
from api.uploads.receiving import Receiving
from gridhaul.storage.connect import Database
from gridhaul.storage.uploads import MongoUploads
from gridhaul.transfer.access import Caller, Scope
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState
from tests.api.service import Api, serving
from tests.api.uploads.bodies import body_of
from tests.api.uploads.doors import BYTES, TOKEN, TUS, address, broken_off, newest, require, require_unanswered
from tests.api.uploads.meanwhile import Meanwhile, interrupted
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
    async with serving(ports, uploads=process.parts) as late:
        changed: Any = {
            "files": Meanwhile(ports.files, "move", lambda: patch(api, file)),
            "authenticator": _With(late.app.state.service.authenticator, frozenset(scopes)),
        }
        late.app.state.service = replace(late.app.state.service, **changed)
        assert (await late.http.delete(address(file), headers=TUS)).status_code == status
    assert (await process.file(file.id)).state is state
    if state is FileState.STORED:
        assert await process.stored(file) == DATA


async def test_delete_of_an_unfinished_upload_does_not_need_the_scope(ports: Ports, process: Process) -> None:
    file = await begun(process)
    async with serving(ports, uploads=process.parts) as api:
        narrow: Any = _With(api.app.state.service.authenticator, frozenset({Scope.PREPARE}))
        api.app.state.service = replace(api.app.state.service, authenticator=narrow)
        assert (await api.http.delete(address(file), headers=TUS)).status_code == 204
    assert (await process.file(file.id)).state is FileState.DELETING


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


async def test_patch_of_an_upload_that_a_worker_finishes_is_answered(
    ports: Ports, database: Database, process: Process
) -> None:
    file = await begun(process)
    workers = MongoUploads(database, lease_seconds=60, lifetime_seconds=60, finish_seconds=60)

    async def receive_and_leave_to_workers() -> None:
        async with process.parts.holdings.hold(await process.file(file.id)) as held:
            await _receive_rest(process, held)
        assert await workers.leave_to_workers(file.id)

    parts = interrupted(process.parts, "registry.take", receive_and_leave_to_workers)
    async with serving(ports, uploads=parts) as late:
        answer = await patch(late, file)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(len(DATA)))
    assert (await process.file(file.id)).state is FileState.STORING


async def _receive_rest(process: Process, held: Held) -> None:
    receiving = Receiving(process.parts, held)
    await receiving.read(body_of([DATA[4:]]))
    receiving.close()


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

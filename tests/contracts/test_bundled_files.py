"""The suite of the methods of the file ports that act on many new files at once."""

import asyncio
from collections.abc import Iterable

import pytest

from gridhaul.transfer.bundle import BUNDLED_FILE_BYTES
from gridhaul.transfer.model import File, RecordId, TaskName
from gridhaul.transfer.states import FILE_MOVES, Action, FileState, Layout
from tests.contracts.ports import SHA256, Ports, claimed, destination, eventually, new_file, registered

NOBODY = RecordId("b" * 24)
STORED = {"sha256": SHA256, "layout": Layout.INLINE, "fruitless_attempts": 0}


async def _claim(ports: Ports, ids: Iterable[RecordId]) -> dict[RecordId, File]:
    """Claim the files together, and return those that were claimed, by id."""
    contents = {file_id: ports.contents.new_id() for file_id in ids}
    files = await ports.files.claim_new(contents, holder="worker")
    return {file.id: file for file in files if file.content_id == contents[file.id]}


async def _now(ports: Ports, file_id: RecordId) -> File:
    file = await ports.files.get(file_id)
    assert file is not None
    return file


async def test_new_files_are_claimed_and_know_their_contents(ports: Ports) -> None:
    new = [await registered(ports) for _ in range(3)]
    taken = await _claim(ports, [file.id for file in new])
    for file in new:
        assert taken[file.id] == await _now(ports, file.id)
        counts = (taken[file.id].fence, taken[file.id].attempts, taken[file.id].fruitless_attempts)
        assert (taken[file.id].state, *counts) == (FileState.STORING, 1, 1, 1)
        await ports.files.require(taken[file.id].lease)
    assert not await ports.agenda.due(10)


async def test_all_files_are_told_also_those_that_were_not_claimed(ports: Ports) -> None:
    new, at_work = await registered(ports), await claimed(ports, await registered(ports))
    contents = {file_id: ports.contents.new_id() for file_id in (new.id, NOBODY, at_work.id)}
    files = {file.id: file for file in await ports.files.claim_new(contents, holder="worker")}
    assert set(files) == {new.id, at_work.id}
    assert files[at_work.id] == at_work


async def test_many_at_once_claim_each_file_once(ports: Ports) -> None:
    ids = [(await registered(ports)).id for _ in range(4)]
    claims = await asyncio.gather(*(_claim(ports, ids) for _ in range(5)))
    assert sorted(file_id for one in claims for file_id in one) == sorted(ids)


async def test_file_that_another_worker_had_is_not_claimed(ports: Ports) -> None:
    file = await claimed(ports, await registered(ports))
    await ports.files.release(file.lease, FileState.REGISTERED, delay_seconds=0)
    assert not await _claim(ports, [file.id])


async def test_file_that_is_too_large_is_not_claimed(ports: Ports) -> None:
    fits = await registered(ports, new_file(length=BUNDLED_FILE_BYTES))
    too_large = await registered(ports, new_file(length=BUNDLED_FILE_BYTES + 1))
    assert set(await _claim(ports, [fits.id, too_large.id])) == {fits.id}


async def test_paused_file_is_not_claimed_and_one_that_was_resumed_is(ports: Ports) -> None:
    file = await registered(ports)
    await ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
    assert not await _claim(ports, [file.id])
    await ports.files.move(file.id, FILE_MOVES[Action.RESUME])
    assert (await _claim(ports, [file.id]))[file.id].fence == 3


async def test_each_file_ends_with_what_is_said_of_it(ports: Ports) -> None:
    taken = await _claim(ports, [(await registered(ports)).id for _ in range(3)])
    lengths = {file_id: n for n, file_id in enumerate(taken)}
    ended = {file.lease: STORED | {"stored_bytes": lengths[file.id]} for file in taken.values()}
    await ports.files.finish_all(ended, FileState.STORED)
    for file_id, length in lengths.items():
        file = await _now(ports, file_id)
        assert (file.state, file.sha256, file.layout) == (FileState.STORED, SHA256, Layout.INLINE)
        assert (file.stored_bytes, file.attempts, file.fruitless_attempts) == (length, 1, 0)
    assert not await ports.agenda.due(10)
    assert not await _claim(ports, taken)


async def test_stored_file_with_a_destination_stays_on_the_agenda(ports: Ports) -> None:
    plain, sent = await registered(ports), await registered(ports, new_file(deliver_to=[destination()]))
    taken = await _claim(ports, [plain.id, sent.id])
    await ports.files.finish_all({file.lease: STORED for file in taken.values()}, FileState.STORED)
    (hint,) = await ports.agenda.due(10)
    assert (hint.task, hint.record_id) == (TaskName.UPLOAD_FILE, sent.id)


@pytest.mark.parametrize("action", [Action.CANCEL, Action.PAUSE])
async def test_file_that_an_operator_moved_keeps_its_state(ports: Ports, action: Action) -> None:
    kept, moved = await registered(ports), await registered(ports)
    taken = await _claim(ports, [kept.id, moved.id])
    then = await ports.files.move(moved.id, FILE_MOVES[action])
    await ports.files.finish_all({file.lease: STORED for file in taken.values()}, FileState.STORED)
    await ports.files.release_all([file.lease for file in taken.values()])
    assert await _now(ports, moved.id) == then
    assert (await _now(ports, kept.id)).state is FileState.STORED


async def test_lease_that_somebody_took_over_changes_nothing(short_leases: Ports) -> None:
    file = await registered(short_leases)
    (taken,) = (await _claim(short_leases, [file.id])).values()
    storing = frozenset({FileState.STORING})

    async def take_over() -> File | None:
        return await short_leases.files.claim(file.id, holder="w", from_states=storing, to_state=FileState.STORING)

    other = await eventually(take_over)
    await short_leases.files.finish_all({taken.lease: STORED}, FileState.STORED)
    await short_leases.files.release_all([taken.lease])
    assert await _now(short_leases, file.id) == other


async def test_file_given_back_is_due_as_if_it_had_not_been_claimed(ports: Ports) -> None:
    file = await registered(ports)
    (taken,) = (await _claim(ports, [file.id])).values()
    await ports.files.release_all([taken.lease])
    again = await _now(ports, file.id)
    assert (again.state, again.attempts, again.fruitless_attempts) == (FileState.REGISTERED, 0, 0)
    assert again.content_id == taken.content_id
    (hint,) = await ports.agenda.due(10)
    assert (hint.task, hint.record_id) == (TaskName.UPLOAD_FILE, file.id)
    assert not await _claim(ports, [file.id])
    assert (await claimed(ports, file)).fence == 2


async def test_new_small_file_is_hinted_for_a_bundle(ports: Ports) -> None:
    file = await registered(ports, new_file(length=5))
    (hint,) = await ports.agenda.overlooked(file.queue, 10, seconds=0)
    assert hint.task is TaskName.STORE_BUNDLE


async def test_file_that_was_tried_before_is_hinted_alone(ports: Ports) -> None:
    file = await claimed(ports, await registered(ports, new_file(length=5)))
    await ports.files.release(file.lease, FileState.REGISTERED, delay_seconds=0)
    (hint,) = await ports.agenda.due(10)
    assert hint.task is TaskName.UPLOAD_FILE

"""The suite of `Uploads` and `ExpiringUploads`."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import (
    File,
    Hint,
    Lease,
    NewFile,
    Queue,
    RecordId,
    TaskName,
)
from gridhaul.transfer.origins import Door, Upload
from gridhaul.transfer.states import STORABLE, UPLOAD_MOVES, Action, FileState
from tests.contracts.ports import DAY_SECONDS, SHA256, AllUploads, Ports, destination, eventually, new_file

CONTENT, OTHER_CONTENT = RecordId("d" * 24), RecordId("e" * 24)
UPLOAD = Upload(door=Door.TUS, token="t" * 32, metadata="filename cnVu")


@pytest.fixture
def uploads(ports: Ports) -> AllUploads:
    """Return uploads that do not expire during a test."""
    return ports.uploads_living(DAY_SECONDS)


def new_upload(
    *, length: int | None = 10, door: Door = Door.TUS, key: str | None = None, name: str = "run.h5", to: bool = False
) -> NewFile:
    new = new_file(name=name, length=length or 0, key=key, deliver_to=[destination()] if to else [])
    return replace(new, origin=replace(UPLOAD, door=door, length_deferred=length is None))


async def created(uploads: AllUploads, new: NewFile | None = None) -> File:
    file, _ = await uploads.create(new or new_upload())
    return file


async def taken(uploads: AllUploads, file: File, *, holder: str = "one", new_content_id: RecordId = CONTENT) -> File:
    """Take the upload, which has no holder."""
    found = await uploads.take(file.id, holder=holder, new_content_id=new_content_id)
    assert found is not None
    return found


async def held(uploads: AllUploads, new: NewFile | None = None) -> File:
    """Create and take an upload."""
    return await taken(uploads, await created(uploads, new))


async def seen(uploads: AllUploads, file: File) -> File:
    found = await uploads.get(file.id)
    assert found is not None
    return found


def upload_of(file: File) -> Upload:
    assert file.upload is not None
    return file.upload


async def test_new_upload_is_receiving_and_nobody_holds_it(uploads: AllUploads) -> None:
    file, made = await uploads.create(new_upload())
    assert made
    assert await seen(uploads, file) == file
    assert (file.state, file.length, file.stored_bytes, file.fence) == (FileState.RECEIVING, 10, 0, 0)
    assert file.content_id is None
    expires_at = upload_of(file).expires_at
    assert upload_of(file) == replace(UPLOAD, expires_at=expires_at)
    assert (expires_at - file.created_at).total_seconds() == pytest.approx(DAY_SECONDS, abs=1)
    assert file.next_attempt_at == expires_at


async def test_creation_is_the_first_event_of_the_history(ports: Ports, uploads: AllUploads) -> None:
    file = await seen(uploads, await created(uploads))
    assert [(event.state, event.who, event.revision) for event in file.history] == [("RECEIVING", "operator", 1)]
    await ports.files.move(file.id, UPLOAD_MOVES[Action.CANCEL], who="admin")
    history = (await seen(uploads, file)).history
    assert [(event.state, event.who) for event in history] == [("RECEIVING", "operator"), ("CANCELLED", "admin")]


async def test_same_key_gives_the_same_upload(uploads: AllUploads) -> None:
    first, made = await uploads.create(new_upload(key="k"))
    again, made_again = await uploads.create(new_upload(key="k", length=99))
    assert (made, made_again, again) == (True, False, first)
    other, made_other = await uploads.create(replace(new_upload(key="k"), owner="another"))
    assert made_other
    assert other.id != first.id


async def test_same_key_many_times_at_once_makes_one_upload(uploads: AllUploads) -> None:
    answers = await asyncio.gather(*(uploads.create(new_upload(key="k")) for _ in range(20)))
    assert len({file.id for file, _ in answers}) == 1
    assert [made for _, made in answers].count(True) == 1


async def test_key_of_an_upload_that_is_over_gives_that_upload(ports: Ports, uploads: AllUploads) -> None:
    file = await created(uploads, new_upload(key="k"))
    await ports.files.move(file.id, UPLOAD_MOVES[Action.CANCEL])
    again, made = await uploads.create(new_upload(key="k"))
    assert (again.id, again.state, made) == (file.id, FileState.CANCELLED, False)


async def test_newest_unfinished_upload_of_owner_name_and_door_is_found(uploads: AllUploads) -> None:
    await created(uploads, new_upload(door=Door.PUT))
    newest = await created(uploads, new_upload(door=Door.PUT))
    await created(uploads, new_upload(door=Door.TUS))
    await created(uploads, new_upload(door=Door.PUT, name="other"))
    await created(uploads, replace(new_upload(door=Door.PUT), owner="another"))
    assert await uploads.unfinished("operator", "run.h5", Door.PUT, length=10) == newest
    assert await uploads.unfinished("operator", "run.h5", Door.PUT, length=11) is None
    unknown = await created(uploads, new_upload(door=Door.PUT, length=None))
    assert await uploads.unfinished("operator", "run.h5", Door.PUT, length=11) == unknown
    assert await uploads.unfinished("operator", "run.h5", Door.FORM, length=10) is None
    assert await uploads.unfinished("nobody", "run.h5", Door.PUT, length=10) is None


async def test_upload_that_is_over_is_not_unfinished(ports: Ports, uploads: AllUploads) -> None:
    file = await created(uploads, new_upload(door=Door.PUT))
    await ports.files.move(file.id, UPLOAD_MOVES[Action.CANCEL])
    assert await uploads.unfinished("operator", "run.h5", Door.PUT, length=10) is None


async def test_taken_upload_has_a_holder_a_content_and_the_next_fence(uploads: AllUploads) -> None:
    file = await held(uploads)
    assert (file.fence, file.content_id, upload_of(file).holder) == (1, CONTENT, "one")
    assert await seen(uploads, file) == file
    assert await uploads.take(file.id, holder="two", new_content_id=OTHER_CONTENT) is None
    assert await seen(uploads, file) == file


async def test_upload_taken_many_times_at_once_has_one_holder(uploads: AllUploads) -> None:
    file = await created(uploads)
    answers = await asyncio.gather(*(uploads.take(file.id, holder=str(n), new_content_id=CONTENT) for n in range(20)))
    (winner,) = [answer for answer in answers if answer is not None]
    assert winner == await seen(uploads, file)


@pytest.mark.parametrize("holder", ["$$NOW", "$fence", "$$REMOVE"])
async def test_holder_that_looks_like_an_expression_is_kept(uploads: AllUploads, holder: str) -> None:
    assert upload_of(await taken(uploads, await created(uploads), holder=holder)).holder == holder


async def test_unknown_upload_is_neither_taken_nor_asked_for(uploads: AllUploads) -> None:
    unknown = RecordId("f" * 24)
    assert await uploads.get(unknown) is None
    assert await uploads.take(unknown, holder="one", new_content_id=CONTENT) is None
    assert await uploads.force(unknown, holder="one", new_content_id=CONTENT) is None
    assert not await uploads.ask_to_let_go(unknown)
    assert await uploads.expire(unknown) is None
    await uploads.let_go(Lease(record_id=unknown, fence=1))
    assert list(await uploads.leases_to_end([Lease(record_id=unknown, fence=1)])) == [Lease(record_id=unknown, fence=1)]


@pytest.mark.parametrize(
    ("door", "offset", "is_new"), [(Door.TUS, 0, True), (Door.TUS, 3, False), (Door.CHUNKS, 0, False)]
)
async def test_only_an_ordered_upload_without_bytes_begins_with_a_new_content(
    uploads: AllUploads, door: Door, offset: int, is_new: bool
) -> None:
    file = await held(uploads, new_upload(door=door))
    if offset:
        await uploads.advance(file.lease, offset=0, to_offset=offset)
    await uploads.let_go(file.lease)
    again = await taken(uploads, file, holder="two", new_content_id=OTHER_CONTENT)
    assert (again.content_id, again.stored_bytes) == (OTHER_CONTENT if is_new else CONTENT, offset)
    forced = await uploads.force(file.id, holder="three", new_content_id=RecordId("1" * 24))
    assert forced is not None
    assert (forced.content_id == again.content_id) is not is_new


async def test_forced_upload_is_lost_for_its_holder(uploads: AllUploads) -> None:
    old = await held(uploads)
    new = await uploads.force(old.id, holder="two", new_content_id=OTHER_CONTENT)
    assert new is not None
    assert (new.fence, upload_of(new).holder) == (2, "two")
    assert isinstance(upload_of(new).forced_at, datetime)
    with pytest.raises(LeaseLost):
        await uploads.advance(old.lease, offset=0, to_offset=5)
    await uploads.let_go(old.lease)
    assert await seen(uploads, new) == new


async def test_forcing_an_upload_without_a_holder_is_no_force(uploads: AllUploads) -> None:
    file = await uploads.force((await created(uploads)).id, holder="one", new_content_id=CONTENT)
    assert file is not None
    assert (file.fence, upload_of(file).holder, upload_of(file).forced_at) == (1, "one", None)


async def test_holder_that_is_asked_is_told_and_the_next_one_is_not(uploads: AllUploads) -> None:
    file = await created(uploads)
    assert not await uploads.ask_to_let_go(file.id)
    one, beside = await taken(uploads, file), await held(uploads)
    assert list(await uploads.leases_to_end([one.lease, beside.lease])) == []
    assert await uploads.ask_to_let_go(file.id)
    assert list(await uploads.leases_to_end([one.lease, beside.lease])) == [one.lease]
    await uploads.advance(one.lease, offset=0, to_offset=5)
    await uploads.let_go(one.lease)
    two = await taken(uploads, file, holder="two")
    assert list(await uploads.leases_to_end([one.lease, two.lease])) == [one.lease]
    assert not upload_of(two).asked_to_let_go


async def test_no_lease_is_lost_if_none_is_asked_for(uploads: AllUploads) -> None:
    assert list(await uploads.leases_to_end([])) == []


async def test_offset_moves_only_from_where_it_is(uploads: AllUploads) -> None:
    file = await held(uploads)
    await uploads.advance(file.lease, offset=0, to_offset=4, rate=2.5)
    for wrong in (0, 3, 5):
        with pytest.raises(LeaseLost):
            await uploads.advance(file.lease, offset=wrong, to_offset=9)
    await uploads.advance(file.lease, offset=4, to_offset=10)
    now = await seen(uploads, file)
    assert (now.stored_bytes, now.length, now.rate) == (10, 10, None)


async def test_offset_moved_many_times_at_once_moves_once(uploads: AllUploads) -> None:
    file = await held(uploads)
    moves = (uploads.advance(file.lease, offset=0, to_offset=n) for n in range(1, 11))
    answers = await asyncio.gather(*moves, return_exceptions=True)
    assert sum(answer is None for answer in answers) == 1
    assert all(answer is None or isinstance(answer, LeaseLost) for answer in answers)


async def test_length_grows_with_the_offset_until_it_is_declared(uploads: AllUploads) -> None:
    file = await held(uploads, new_upload(length=None))
    assert (file.length, upload_of(file).length_deferred) == (0, True)
    await uploads.advance(file.lease, offset=0, to_offset=4)
    now = await seen(uploads, file)
    assert (now.length, now.used_bytes, upload_of(now).length_deferred) == (4, 4, True)
    await uploads.declare_length(file.lease, 9)
    await uploads.advance(file.lease, offset=4, to_offset=6)
    now = await seen(uploads, file)
    assert (now.length, now.stored_bytes, upload_of(now).length_deferred) == (9, 6, False)


async def test_stored_bytes_of_a_parallel_upload_are_counted_up_to_its_length(uploads: AllUploads) -> None:
    file = await held(uploads, new_upload(door=Door.CHUNKS))
    for stored in (4, 8, 10):
        await uploads.note_stored(file.lease, 4)
        assert (await seen(uploads, file)).stored_bytes == stored


async def test_named_digests_are_noted(uploads: AllUploads) -> None:
    file = await held(uploads)
    for sha256, md5 in ((SHA256, None), (SHA256, "ab" * 16), (None, "ab" * 16)):
        await uploads.name_digests(file.lease, sha256=sha256, md5=md5)
        upload = upload_of(await seen(uploads, file))
        assert (upload.sha256, upload.md5) == (sha256, md5)


async def test_upload_that_was_let_go_can_be_taken_at_once(uploads: AllUploads) -> None:
    file = await held(uploads)
    await uploads.ask_to_let_go(file.id)
    await uploads.let_go(file.lease)
    now = await seen(uploads, file)
    assert (now.fence, upload_of(now).holder, upload_of(now).asked_to_let_go) == (1, None, False)
    assert (await taken(uploads, file)).fence == 2


@pytest.mark.parametrize("ended", ["taken", "cancelled", "deleted", "storing", "stored"])
async def test_writes_of_a_former_holder_are_refused_and_change_nothing(
    ports: Ports, uploads: AllUploads, ended: str
) -> None:
    file = await held(uploads, new_upload(door=Door.CHUNKS))
    await _end(ports, uploads, file, ended)
    before = await seen(uploads, file)
    for write in (
        uploads.declare_length(file.lease, 99),
        uploads.advance(file.lease, offset=0, to_offset=5),
        uploads.note_stored(file.lease, 5),
        uploads.name_digests(file.lease, sha256=SHA256, md5=None),
        uploads.finish_whole(file.lease, sha256=SHA256),
        uploads.begin_storing(file.lease),
    ):
        with pytest.raises(LeaseLost):
            await write
    await uploads.let_go(file.lease)
    assert list(await uploads.leases_to_end([file.lease])) == [file.lease]
    assert await seen(uploads, file) == before


async def _end(ports: Ports, uploads: AllUploads, file: File, how: str) -> None:
    """End the holding of the upload in one of the ways in which it can end."""
    if how == "taken":
        await uploads.force(file.id, holder="two", new_content_id=OTHER_CONTENT)
    elif how == "storing":
        await uploads.begin_storing(file.lease)
    elif how == "stored":
        await uploads.finish_whole(file.lease)
    else:
        await ports.files.move(file.id, UPLOAD_MOVES[Action.CANCEL])
    if how == "deleted":
        deleting = await ports.files.request_delete(file.id, deliveries_asked=0)
        assert deleting is not None
        assert deleting.state is FileState.DELETING


@pytest.mark.parametrize("ended", ["cancelled", "deleted", "storing", "stored"])
async def test_upload_that_is_over_is_not_taken(ports: Ports, uploads: AllUploads, ended: str) -> None:
    file = await held(uploads)
    await _end(ports, uploads, file, ended)
    before = await seen(uploads, file)
    assert await uploads.take(file.id, holder="two", new_content_id=OTHER_CONTENT) is None
    assert await uploads.force(file.id, holder="two", new_content_id=OTHER_CONTENT) is None
    assert not await uploads.ask_to_let_go(file.id)
    assert await seen(uploads, file) == before


async def test_whole_file_is_stored_and_at_rest(ports: Ports, uploads: AllUploads) -> None:
    file = await held(uploads)
    await uploads.ask_to_let_go(file.id)
    await uploads.finish_whole(file.lease, sha256=SHA256, stored_bytes=10)
    now = await seen(uploads, file)
    assert (now.state, now.sha256, now.stored_bytes, now.next_attempt_at) == (FileState.STORED, SHA256, 10, None)
    assert (upload_of(now).holder, upload_of(now).asked_to_let_go) == (None, False)
    assert [event.state for event in now.history] == ["RECEIVING", "STORED"]
    assert not await ports.agenda.due(10)
    deleting = await ports.files.request_delete(file.id, deliveries_asked=0)
    assert deleting is not None
    assert deleting.state is FileState.DELETING


async def test_whole_file_with_destinations_is_due_until_its_deliveries_are_made(
    ports: Ports, uploads: AllUploads
) -> None:
    file = await held(uploads, new_upload(to=True))
    await uploads.finish_whole(file.lease, sha256=SHA256)
    (hint,) = await eventually(lambda: ports.agenda.due(10))
    assert (hint.task, hint.record_id) == (TaskName.UPLOAD_FILE, file.id)
    await ports.files.deliveries_made({file.id: 1})
    assert (await seen(uploads, file)).next_attempt_at is None


async def test_upload_being_stored_is_held_by_the_one_who_began(ports: Ports, uploads: AllUploads) -> None:
    file = await held(uploads)
    storing = await uploads.begin_storing(file.lease)
    assert (storing.state, storing.fence, upload_of(storing).holder) == (FileState.STORING, 1, None)
    assert await _claimed(ports, file) is None
    await ports.files.require(file.lease)
    await ports.files.finish(file.lease, FileState.STORED, sha256=SHA256)
    now = await seen(uploads, file)
    assert (now.state, now.next_attempt_at) == (FileState.STORED, None)
    assert [event.state for event in now.history] == ["RECEIVING", "STORING", "STORED"]


async def test_upload_left_to_a_worker_is_hinted_and_claimed(ports: Ports, uploads: AllUploads) -> None:
    file = await held(uploads)
    storing = await uploads.begin_storing(file.lease)
    await ports.files.release(storing.lease, FileState.STORING, delay_seconds=0)
    (hint,) = await eventually(lambda: _due(ports))
    assert (hint.task, hint.record_id, hint.queue) == (TaskName.UPLOAD_FILE, file.id, file.queue)
    claimed = await _claimed(ports, file)
    assert claimed is not None
    assert (claimed.fence, claimed.attempts, claimed.content_id) == (2, 1, CONTENT)
    with pytest.raises(LeaseLost):
        await ports.files.finish(storing.lease, FileState.STORED)


async def test_upload_whose_api_died_while_storing_goes_to_a_worker_when_the_lease_ends(short_leases: Ports) -> None:
    uploads = short_leases.uploads_living(DAY_SECONDS)
    file = await held(uploads)
    await uploads.begin_storing(file.lease)
    assert [hint.record_id for hint in await eventually(lambda: _due(short_leases))] == [file.id]
    claimed = await _claimed(short_leases, file)
    assert claimed is not None
    assert claimed.fence == 2


async def _claimed(ports: Ports, file: File) -> File | None:
    return await ports.files.claim(file.id, holder="worker", from_states=STORABLE, to_state=FileState.STORING)


async def _due(ports: Ports) -> list[Hint]:
    return list(await ports.agenda.due(10))


async def test_upload_expires_only_when_its_time_has_come(ports: Ports, uploads: AllUploads) -> None:
    file = await held(uploads)
    assert await uploads.expire(file.id) is None
    assert (await seen(uploads, file)).state is FileState.RECEIVING
    assert not await ports.agenda.due(10)
    for queue in Queue:
        assert not await ports.agenda.overlooked(queue, 10, seconds=0)


async def test_expired_upload_was_hinted_and_is_returned_with_what_it_used(ports: Ports) -> None:
    uploads = ports.uploads_living(0.1)
    file = await held(uploads, new_upload(length=None))
    await uploads.advance(file.lease, offset=0, to_offset=7)
    assert await eventually(lambda: _due(ports)) == [
        Hint(task=TaskName.EXPIRE_UPLOAD, record_id=file.id, queue=file.queue)
    ]
    before = await uploads.expire(file.id)
    assert before is not None
    assert (before.state, before.used_bytes, before.content_id) == (FileState.RECEIVING, 7, CONTENT)
    now = await seen(uploads, file)
    assert (now.state, now.used_bytes, now.stored_bytes) == (FileState.EXPIRED, 0, 0)
    assert (now.next_attempt_at, upload_of(now).holder) == (None, None)
    assert [event.state for event in now.history] == ["RECEIVING", "EXPIRED"]
    assert not await ports.agenda.due(10)
    assert await uploads.expire(file.id) is None
    with pytest.raises(LeaseLost):
        await uploads.advance(file.lease, offset=7, to_offset=8)
    assert await uploads.take(file.id, holder="two", new_content_id=OTHER_CONTENT) is None


@pytest.mark.parametrize(
    ("may_be_left", "door"), [(True, Door.TUS), (True, Door.RESUMABLE), (False, Door.TUS), (False, Door.RESUMABLE)]
)
async def test_upload_is_left_to_workers_once_all_its_bytes_count(ports: Ports, may_be_left: bool, door: Door) -> None:
    uploads = ports.uploads_living(0.05)
    file = await held(uploads, new_upload(door=door))
    await uploads.advance(file.lease, offset=0, to_offset=10 if may_be_left else 9)
    assert await eventually(lambda: _due(ports)) == [
        Hint(task=TaskName.EXPIRE_UPLOAD, record_id=file.id, queue=file.queue)
    ]
    left = await uploads.leave_to_workers(file.id)
    assert (left is not None) is may_be_left
    if left is None:
        return
    assert (left.state, left.fence, upload_of(left).holder) == (FileState.STORING, file.fence + 1, None)
    assert (left.length, left.stored_bytes, left.content_id) == (10, 10, CONTENT)
    with pytest.raises(LeaseLost):
        await uploads.begin_storing(file.lease)
    assert await ports.agenda.unanswered(file.queue, 10) == 1
    claimed = await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert claimed is not None
    assert await uploads.leave_to_workers(file.id) is None


@pytest.mark.parametrize("kind", ["parallel", "of unknown length", "empty"])
async def test_upload_that_its_client_has_to_finish_is_not_left_to_workers(ports: Ports, kind: str) -> None:
    uploads = ports.uploads_living(DAY_SECONDS)
    new = new_upload(
        length=None if kind == "of unknown length" else 10, door=Door.CHUNKS if kind == "parallel" else Door.TUS
    )
    file = await held(uploads, replace(new, length=0) if kind == "empty" else new)
    if kind == "parallel":
        await uploads.note_stored(file.lease, 10)
    elif kind != "empty":
        await uploads.advance(file.lease, offset=0, to_offset=10)
    assert await uploads.leave_to_workers(file.id) is None
    now = await seen(uploads, file)
    assert (now.state, now.next_attempt_at) == (FileState.RECEIVING, upload_of(now).expires_at)


@pytest.mark.parametrize("length_first", [True, False])
async def test_whole_upload_is_due_long_before_it_expires(ports: Ports, length_first: bool) -> None:
    uploads = ports.uploads_left_after(60)
    file = await held(uploads, new_upload(length=None))
    if length_first:
        await uploads.declare_length(file.lease, 10)
    await uploads.advance(file.lease, offset=0, to_offset=10)
    if not length_first:
        await uploads.declare_length(file.lease, 10)
    assert await uploads.leave_to_workers(file.id) is None, "its last request may still finish it"
    now = await seen(uploads, file)
    assert now.next_attempt_at is not None
    assert (upload_of(now).expires_at - now.next_attempt_at).total_seconds() == pytest.approx(DAY_SECONDS - 60, abs=1)


@pytest.mark.parametrize("named_fence", [None, 1])
async def test_discarded_upload_is_due_to_be_deleted_and_its_holder_loses_it(
    ports: Ports, uploads: AllUploads, named_fence: int | None
) -> None:
    file = await held(uploads)
    await uploads.advance(file.lease, offset=0, to_offset=7)
    discarded = await uploads.discard(file.id, who="admin", fence=named_fence)
    assert discarded is not None
    assert (discarded.state, discarded.queue, discarded.content_id) == (FileState.DELETING, Queue.MAINTENANCE, CONTENT)
    now = await seen(uploads, file)
    assert [(event.state, event.who) for event in now.history] == [("RECEIVING", "operator"), ("DELETING", "admin")]
    assert await uploads.leases_to_end([file.lease]) == [file.lease]
    with pytest.raises(LeaseLost):
        await uploads.advance(file.lease, offset=7, to_offset=8)
    assert await ports.agenda.unanswered(Queue.MAINTENANCE, 10) == 1
    assert await uploads.discard(file.id, who="admin") is None


@pytest.mark.parametrize("ended", ["cancelled", "storing", "stored"])
async def test_upload_that_is_not_receiving_is_not_discarded(ports: Ports, uploads: AllUploads, ended: str) -> None:
    file = await held(uploads)
    await _end(ports, uploads, file, ended)
    before = await seen(uploads, file)
    assert await uploads.discard(file.id, who="admin") is None
    assert await seen(uploads, file) == before


async def test_upload_that_was_taken_since_is_not_discarded(uploads: AllUploads) -> None:
    file = await held(uploads)
    assert await uploads.discard(file.id, who="admin", fence=0) is None
    assert await seen(uploads, file) == file


async def test_upload_expired_many_times_at_once_is_returned_once(ports: Ports) -> None:
    uploads = ports.uploads_living(0.05)
    file = await created(uploads)
    await eventually(lambda: _due(ports))
    answers = await asyncio.gather(*(uploads.expire(file.id) for _ in range(20)))
    assert sum(answer is not None for answer in answers) == 1


async def test_hint_to_expire_that_was_lost_is_repeated(ports: Ports) -> None:
    file = await created(ports.uploads_living(0.05))
    assert len(await eventually(lambda: _due(ports))) == 1
    assert await ports.agenda.unanswered(file.queue, 10) == 1
    (hint,) = await ports.agenda.overlooked(file.queue, 10, seconds=0)
    assert (hint.task, hint.record_id) == (TaskName.EXPIRE_UPLOAD, file.id)


@pytest.mark.parametrize("going_on", ["take", "force", "advance", "note_stored", "let_go"])
async def test_upload_that_goes_on_lives_longer(ports: Ports, going_on: str) -> None:
    soon, later = ports.uploads_living(0.05), ports.uploads_living(DAY_SECONDS)
    file = await created(soon) if going_on == "take" else await held(soon)
    await eventually(lambda: _due(ports))
    await _go_on(later, file, going_on)
    now = await seen(later, file)
    assert upload_of(now).expires_at > upload_of(file).expires_at
    assert now.next_attempt_at == upload_of(now).expires_at
    assert await later.expire(file.id) is None
    assert not await ports.agenda.due(10)
    assert not await ports.agenda.overlooked(file.queue, 10, seconds=0)


async def _go_on(uploads: AllUploads, file: File, how: str) -> None:
    if how == "take":
        await uploads.take(file.id, holder="two", new_content_id=CONTENT)
    elif how == "force":
        await uploads.force(file.id, holder="two", new_content_id=CONTENT)
    elif how == "advance":
        await uploads.advance(file.lease, offset=0, to_offset=1)
    elif how == "note_stored":
        await uploads.note_stored(file.lease, 1)
    else:
        await uploads.let_go(file.lease)


@pytest.mark.parametrize("action", [Action.PAUSE, Action.RESUME, Action.RETRY])
async def test_upload_that_receives_bytes_is_only_cancelled(ports: Ports, uploads: AllUploads, action: Action) -> None:
    file = await held(uploads)
    assert await ports.files.move(file.id, UPLOAD_MOVES[action]) is None
    assert file.origin.moves is UPLOAD_MOVES
    cancelled = await ports.files.move(file.id, UPLOAD_MOVES[Action.CANCEL])
    assert cancelled is not None
    assert (cancelled.state, cancelled.fence, cancelled.next_attempt_at) == (FileState.CANCELLED, 2, None)
    assert await ports.files.move(file.id, UPLOAD_MOVES[Action.RETRY]) is None


async def test_upload_being_stored_is_paused_resumed_and_retried_without_new_bytes(
    ports: Ports, uploads: AllUploads
) -> None:
    file = await held(uploads)
    storing = await uploads.begin_storing(file.lease)
    paused = await ports.files.move(file.id, UPLOAD_MOVES[Action.PAUSE])
    assert paused is not None
    assert paused.state is FileState.PAUSED
    with pytest.raises(LeaseLost):
        await ports.files.finish(storing.lease, FileState.STORED)
    resumed = await ports.files.move(file.id, UPLOAD_MOVES[Action.RESUME])
    assert resumed is not None
    assert resumed.state is FileState.STORING
    claimed = await _claimed(ports, file)
    assert claimed is not None
    await ports.files.finish(claimed.lease, FileState.FAILED)
    retried = await ports.files.retry(await seen(uploads, file))
    assert retried is not None
    assert (retried.state, retried.content_id) == (FileState.STORING, CONTENT)
    again = await _claimed(ports, file)
    assert again is not None
    assert again.fence == 6


async def test_open_uploads_count_as_open_files_until_they_are_over(ports: Ports, uploads: AllUploads) -> None:
    first, second = await created(uploads), await held(uploads)
    assert await ports.files.count_open("operator", limit=10) == 2
    await ports.files.move(first.id, UPLOAD_MOVES[Action.CANCEL])
    await uploads.finish_whole(second.lease)
    assert await ports.files.count_open("operator", limit=10) == 0


async def test_joined_upload_is_left_to_a_worker_at_once(ports: Ports, uploads: AllUploads) -> None:
    new = new_upload()
    joined = replace(new, origin=replace(UPLOAD, parts=("a" * 24, "b" * 24), concat="final;/uploads/x /uploads/y"))
    file, made = await uploads.create(joined)
    assert made
    assert (file.state, file.upload) == (FileState.STORING, joined.origin)
    assert await uploads.take(file.id, holder="one", new_content_id=CONTENT) is None
    claimed = await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert claimed is not None
    assert claimed.upload == joined.origin


async def test_time_to_expire_is_moved_for_uploads_only_and_in_one_direction(ports: Ports, uploads: AllUploads) -> None:
    upload, stored = await created(uploads), await created(uploads)
    await uploads.finish_whole((await taken(uploads, stored)).lease)

    async def seconds_left() -> float:
        file = await seen(uploads, upload)
        assert file.next_attempt_at == upload_of(file).expires_at
        return (upload_of(file).expires_at - file.created_at).total_seconds()

    both = [upload.id, stored.id]
    await uploads.keep(both, seconds=DAY_SECONDS / 2)
    assert await seconds_left() == pytest.approx(DAY_SECONDS, abs=2)
    await uploads.keep(both, seconds=2 * DAY_SECONDS)
    assert await seconds_left() == pytest.approx(2 * DAY_SECONDS, abs=2)
    await uploads.expire_within(both, owner=upload.owner, seconds=3 * DAY_SECONDS)
    assert await seconds_left() == pytest.approx(2 * DAY_SECONDS, abs=2)
    await uploads.expire_within(both, owner=upload.owner, seconds=0)
    assert await seconds_left() == pytest.approx(0, abs=2)
    assert (await seen(uploads, stored)).next_attempt_at is None
    assert await eventually(lambda: _due(ports)) == [
        Hint(task=TaskName.EXPIRE_UPLOAD, record_id=upload.id, queue=upload.queue)
    ]
    assert await uploads.expire(upload.id) is not None


@pytest.mark.parametrize("paused", [False, True])
async def test_part_keeps_its_time_while_another_file_is_still_to_be_joined_from_it(
    ports: Ports, uploads: AllUploads, paused: bool
) -> None:
    part, other = await created(uploads, new_upload(door=Door.TUS_PART)), await created(uploads)
    final = replace(new_upload(), origin=replace(UPLOAD, parts=(part.id, part.id)))
    waiting = await created(uploads, final)
    if paused:
        assert await ports.files.move(waiting.id, UPLOAD_MOVES[Action.PAUSE]) is not None
    await uploads.expire_within([part.id, other.id], owner="somebody else", seconds=DAY_SECONDS / 2)
    await uploads.keep([part.id, other.id], seconds=DAY_SECONDS)
    await uploads.expire_within([part.id, other.id], owner=part.owner, seconds=0)
    assert await uploads.expire(part.id) is None
    assert await uploads.expire(other.id) is not None
    assert await ports.files.move(waiting.id, UPLOAD_MOVES[Action.CANCEL]) is not None
    await uploads.expire_within([part.id], owner=part.owner, seconds=0)
    assert await uploads.expire(part.id) is not None


async def test_files_of_ids_are_found_in_any_number(uploads: AllUploads) -> None:
    files = [await created(uploads) for _ in range(3)]
    found = await uploads.get_all([*(file.id for file in files), RecordId("f" * 24)])
    assert sorted(file.id for file in found) == sorted(file.id for file in files)


@pytest.mark.parametrize("door", [Door.TUS_PART, Door.RANGES, Door.CHUNKS])
async def test_upload_that_its_client_completes_expires_although_all_bytes_count(
    uploads: AllUploads, door: Door
) -> None:
    file = await held(uploads, new_upload(door=door))
    await uploads.advance(file.lease, offset=0, to_offset=10)
    await uploads.let_go(file.lease)
    now = await seen(uploads, file)
    assert now.next_attempt_at == upload_of(now).expires_at
    assert await uploads.leave_to_workers(file.id) is None

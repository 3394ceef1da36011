"""The suite of `FileRegistry`."""

import asyncio
from dataclasses import replace

import pytest
from bson import ObjectId

from gridhaul.storage.connect import Database
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import Destination, File, IfExists, Queue, RecordId, TaskName
from gridhaul.transfer.states import FILE_MOVES, STORABLE, Action, FileState
from tests.contracts.ports import (
    SHA256,
    Ports,
    claimed,
    destination,
    eventually,
    from_path,
    mongo_ports,
    new_file,
    registered,
    stored,
)
from tests.file_times import YEAR_2400

DELETING = frozenset({FileState.DELETING})


async def _request_delete(ports: Ports, file_id: RecordId) -> File | None:
    """Request the delete as a caller does who has seen all deliveries of the file."""
    file = await ports.files.get(file_id)
    return await ports.files.request_delete(file_id, deliveries_asked=file.deliveries_asked if file else 0)


async def test_registered_file_is_what_was_given(ports: Ports) -> None:
    new = from_path(new_file(key="k", deliver_to=[destination(if_exists=IfExists.RENAME)]), root="/srv/alice")
    file, made = await ports.files.register(new)
    assert made
    given = {name: getattr(new, name) for name in type(new).__slots__ if name != "idempotency_key"}
    assert {name: getattr(file, name) for name in given} == given
    assert (file.state, file.fence, file.attempts, file.content_id) == (FileState.REGISTERED, 0, 0, None)
    assert file.created_at.utcoffset() is not None
    assert await ports.files.get(file.id) == file


@pytest.mark.parametrize("text", ["$path", "$$NOW", "$$REMOVE", "ä\N{GRINNING FACE}", "a b'\"\\"])
async def test_names_that_look_like_expressions_are_kept(ports: Ports, text: str) -> None:
    file = await registered(
        ports, replace(from_path(new_file(), path=text), owner=text, name=text, idempotency_key=text)
    )
    assert (file.owner, file.name, file.source.path) == (text, text, text)


@pytest.mark.parametrize("nanoseconds", [YEAR_2400, 2**93, -(2**63) - 1, -1])
async def test_times_of_any_source_are_kept_and_compared(ports: Ports, nanoseconds: int) -> None:
    new = new_file()
    identity = replace(new.source.identity, mtime_ns=nanoseconds, ctime_ns=nanoseconds)
    file = await claimed(ports, await registered(ports, from_path(new, identity=identity)))
    assert file.source.identity == identity
    assert file.source.identity.matches(identity)
    await ports.files.release(file.lease, FileState.REGISTERED, delay_seconds=0, identity=new.source.identity)
    file = await claimed(ports, file)
    await ports.files.release(file.lease, FileState.REGISTERED, delay_seconds=0, identity=identity)
    assert (await claimed(ports, file)).source.identity == identity


async def test_same_key_many_times_at_once_gives_one_file(ports: Ports) -> None:
    answers = await asyncio.gather(*(ports.files.register(new_file(key="k")) for _ in range(20)))
    assert len({file.id for file, _ in answers}) == 1
    assert [made for _, made in answers].count(True) == 1
    assert len(await ports.files.page(Selection(), limit=100, after=None)) == 1


async def test_repeat_with_other_values_gives_the_first_file(ports: Ports) -> None:
    first, _ = await ports.files.register(new_file(key="k"))
    again, made = await ports.files.register(replace(new_file(key="k", name="other"), request_fingerprint="f2"))
    assert (again, made) == (first, False)


async def test_key_belongs_to_its_owner(ports: Ports) -> None:
    first, _ = await ports.files.register(new_file(key="k"))
    second, made = await ports.files.register(replace(new_file(key="k"), owner="another"))
    assert made
    assert second.id != first.id


async def test_without_a_key_each_request_makes_a_file(ports: Ports) -> None:
    assert len({(await registered(ports)).id for _ in range(3)}) == 3


async def test_page_goes_from_the_newest_to_the_oldest(ports: Ports) -> None:
    made = [await registered(ports) for _ in range(5)]
    newest = await ports.files.page(Selection(), limit=2, after=None)
    middle = await ports.files.page(Selection(), limit=2, after=newest[-1])
    oldest = await ports.files.page(Selection(), limit=2, after=middle[-1])
    assert [*newest, *middle, *oldest] == made[::-1]
    assert not await ports.files.page(Selection(), limit=2, after=oldest[-1])


async def test_page_shows_only_the_state_asked_for(ports: Ports) -> None:
    first, _, third = [await registered(ports) for _ in range(3)]
    await claimed(ports, first)
    storing = await ports.files.page(Selection(states=[FileState.STORING]), limit=10, after=None)
    waiting = await ports.files.page(Selection(states=[FileState.REGISTERED]), limit=10, after=third)
    assert [file.id for file in storing] == [first.id]
    assert len(waiting) == 1


async def test_page_of_several_states_shows_them_from_the_newest_to_the_oldest(ports: Ports) -> None:
    files = [await registered(ports) for _ in range(6)]
    await claimed(ports, files[1])
    await ports.files.move(files[2].id, FILE_MOVES[Action.CANCEL])
    states = [FileState.REGISTERED, FileState.STORING]
    newest = await ports.files.page(Selection(owner="operator", states=states), limit=3, after=None)
    oldest = await ports.files.page(Selection(owner="operator", states=states), limit=3, after=newest[-1])
    assert [file.id for file in (*newest, *oldest)] == [files[n].id for n in (5, 4, 3, 1, 0)]


async def test_file_at_work_is_not_deleted(ports: Ports) -> None:
    file = await registered(ports)
    waiting = await _request_delete(ports, file.id)
    await claimed(ports, file)
    storing = await _request_delete(ports, file.id)
    assert waiting is not None
    assert storing is not None
    assert (waiting.state, storing.state) == (FileState.REGISTERED, FileState.STORING)


@pytest.mark.parametrize("rest", [FileState.STORED, FileState.FAILED])
async def test_file_at_rest_is_moved_to_deleting_and_hinted_by_who_asked(ports: Ports, rest: FileState) -> None:
    file = await claimed(ports, await registered(ports))
    await ports.files.finish(file.lease, rest)
    deleting = await _request_delete(ports, file.id)
    assert deleting is not None
    assert (deleting.state, deleting.attempts) == (FileState.DELETING, 0)
    (hint,) = await ports.agenda.overlooked(Queue.MAINTENANCE, 10, seconds=0)
    assert (hint.task, hint.record_id) == (TaskName.DELETE_FILE, file.id)
    taken = await ports.files.claim(file.id, holder="w", from_states=DELETING, to_state=FileState.DELETING)
    assert taken is not None
    assert taken.fence == 2


async def test_second_request_to_delete_changes_nothing(ports: Ports) -> None:
    file = await stored(ports)
    first = await _request_delete(ports, file.id)
    assert await _request_delete(ports, file.id) == first
    taken = await ports.files.claim(file.id, holder="w", from_states=DELETING, to_state=FileState.DELETING)
    assert taken is not None
    await _request_delete(ports, file.id)
    await ports.files.finish(taken.lease, FileState.DELETED)
    deleted = await _request_delete(ports, file.id)
    assert deleted is not None
    assert deleted.state is FileState.DELETED


async def test_request_to_delete_an_unknown_file_gives_none(ports: Ports) -> None:
    assert await _request_delete(ports, RecordId("f" * 24)) is None


async def test_stored_file_is_due_until_its_delivery_was_made(ports: Ports) -> None:
    file = await stored(ports, new_file(deliver_to=[destination()]))
    (hint,) = await eventually(lambda: ports.agenda.due(10))
    assert (hint.task, hint.record_id) == (TaskName.UPLOAD_FILE, file.id)
    assert await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING) is None
    await ports.files.deliveries_made({file.id: 1})
    assert not await ports.agenda.due(10)


async def test_all_destinations_of_a_file_are_kept_in_their_order(ports: Ports) -> None:
    several = (destination("b"), destination("a"), destination("b", object_name="2"))
    file = await registered(ports, new_file(deliver_to=several))
    assert (file.deliver_to, await ports.files.get(file.id)) == (several, file)


async def test_file_with_several_destinations_is_at_rest_once_all_deliveries_were_made(ports: Ports) -> None:
    file = await stored(ports, new_file(deliver_to=[destination("a"), destination("b")]))
    assert await ports.agenda.due(10)
    await ports.files.deliveries_made({file.id: 2})
    now = await ports.files.get(file.id)
    assert now is not None
    assert (now.deliveries_asked, await ports.agenda.due(10)) == (2, [])
    taken = await ports.files.request_delete(file.id, deliveries_asked=2)
    assert taken is not None
    assert taken.state is FileState.DELETING


@pytest.mark.parametrize("destinations", [(), (destination(),)])
async def test_record_with_one_destination_or_null_is_read_as_before(
    database: Database, destinations: tuple[Destination, ...]
) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    file = await registered(ports, new_file(deliver_to=destinations))
    old_form = {"target": "archive", "object_name": "run.h5", "if_exists": "fail"} if destinations else None
    await database["files"].update_one({"_id": ObjectId(file.id)}, {"$set": {"deliver_to": old_form}})
    assert await ports.files.get(file.id) == file
    taken = await claimed(ports, file)
    await ports.files.finish(taken.lease, FileState.STORED, sha256=SHA256)
    assert len(await ports.agenda.due(10)) == len(destinations)


async def test_stored_file_whose_delivery_was_made_is_not_due(ports: Ports) -> None:
    file = await stored(ports, new_file(deliver_to=[destination()]))
    await ports.files.deliveries_made({file.id: 1})
    assert not await ports.agenda.due(10)


async def test_deliveries_made_leaves_a_file_that_is_being_deleted_alone(ports: Ports) -> None:
    file = await stored(ports)
    await _request_delete(ports, file.id)
    await ports.files.deliveries_made({file.id: 1})
    assert await ports.agenda.unanswered(Queue.MAINTENANCE, 10) == 1


async def test_stored_file_whose_delivery_was_not_made_is_not_deleted(ports: Ports) -> None:
    file = await stored(ports, new_file(deliver_to=[destination()]))
    refused = await _request_delete(ports, file.id)
    await ports.files.deliveries_made({file.id: 1})
    taken = await _request_delete(ports, file.id)
    assert refused is not None
    assert taken is not None
    assert (refused.state, taken.state) == (FileState.STORED, FileState.DELETING)


async def test_file_is_found_by_its_owners_key_alone(ports: Ports) -> None:
    file = await registered(ports, new_file(key="k"))
    assert await ports.files.find_by_key("operator", "k") == file
    assert await ports.files.find_by_key("another", "k") is None
    assert await ports.files.find_by_key("operator", "other") is None


@pytest.mark.parametrize("made", [0, 1, 3])
async def test_file_with_a_delivery_that_the_delete_has_not_seen_is_not_deleted(ports: Ports, made: int) -> None:
    file = await stored(ports)
    await (ports.files.deliveries_made({file.id: made}) if made else ports.files.count_delivery(file.id))
    refused = await ports.files.request_delete(file.id, deliveries_asked=file.deliveries_asked)
    assert refused is not None
    assert refused.state is FileState.STORED
    taken = await ports.files.request_delete(file.id, deliveries_asked=refused.deliveries_asked)
    assert taken is not None
    assert taken.state is FileState.DELETING


async def test_delivery_is_counted_only_while_the_file_is_stored(ports: Ports) -> None:
    file = await registered(ports)
    assert not await ports.files.count_delivery(file.id)
    assert not await ports.files.count_delivery(RecordId("f" * 24))
    file = await stored(ports)
    assert await ports.files.count_delivery(file.id)
    await _request_delete(ports, file.id)
    assert not await ports.files.count_delivery(file.id)


async def test_cancelled_file_can_be_deleted_and_a_paused_one_not(ports: Ports) -> None:
    file = await registered(ports)
    await ports.files.move(file.id, FILE_MOVES[Action.PAUSE])
    paused = await _request_delete(ports, file.id)
    await ports.files.move(file.id, FILE_MOVES[Action.CANCEL])
    cancelled = await _request_delete(ports, file.id)
    assert paused is not None
    assert cancelled is not None
    assert (paused.state, cancelled.state) == (FileState.PAUSED, FileState.DELETING)


async def test_open_files_of_the_owner_are_counted_up_to_the_limit(ports: Ports) -> None:
    waiting, at_work, paused, over, gone = [await registered(ports) for _ in range(5)]
    await registered(ports, replace(new_file(), owner="another"))
    await claimed(ports, at_work)
    await ports.files.move(paused.id, FILE_MOVES[Action.PAUSE])
    await ports.files.finish((await claimed(ports, over)).lease, FileState.STORED)
    await ports.files.move(gone.id, FILE_MOVES[Action.CANCEL])
    assert [await ports.files.count_open(waiting.owner, limit=limit) for limit in (0, 2, 3, 100)] == [0, 2, 3, 3]
    assert await ports.files.count_open("nobody", limit=100) == 0


async def test_file_is_retried_as_it_was_read(ports: Ports) -> None:
    file = await registered(ports)
    await ports.files.move(file.id, FILE_MOVES[Action.CANCEL])
    cancelled = await ports.files.get(file.id)
    assert cancelled is not None
    retried = await ports.files.retry(cancelled, length=7)
    assert retried is not None
    assert (retried.state, retried.length, retried.fence) == (FileState.REGISTERED, 7, cancelled.fence + 1)
    await ports.files.move(file.id, FILE_MOVES[Action.CANCEL])
    assert await ports.files.retry(cancelled, length=9) is None
    now = await ports.files.get(file.id)
    assert now is not None
    assert (now.state, now.length) == (FileState.CANCELLED, 7)


async def test_file_retried_many_times_at_once_is_retried_once(ports: Ports) -> None:
    file = await registered(ports)
    cancelled = await ports.files.move(file.id, FILE_MOVES[Action.CANCEL])
    assert cancelled is not None
    answers = await asyncio.gather(*(ports.files.retry(cancelled) for _ in range(20)))
    assert len([answer for answer in answers if answer]) == 1

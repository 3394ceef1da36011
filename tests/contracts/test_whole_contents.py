"""The suite of `Intake.store_whole`, which stores many whole contents in one call."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gridhaul.storage.connect import Database
from gridhaul.storage.content.manifest import Manifests
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.errors import LeaseLost, PayloadTooLarge, StateConflict
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import ContentState, Layout
from tests.contracts.bytes_to_store import MIB, opened, read, seal_of, segment, some_bytes, store, whole_content
from tests.contracts.ports import A_FILE, Ports, mongo_ports

LENGTHS = (0, 1, 65536, MIB, 2 * MIB)
REFUSED = StateConflict.code


async def test_contents_are_sealed_and_read_byte_for_byte(ports: Ports) -> None:
    bundle = {length: whole_content(some_bytes(length)) for length in LENGTHS}
    assert not await ports.intake_with(15).store_whole(list(bundle.values()))
    for length, one in bundle.items():
        content = await ports.contents.get(one.id)
        assert content is not None
        assert (content.state, content.layout, content.seal) == (ContentState.SEALED, Layout.INLINE, one.seal)
        assert (content.filename, content.content_type) == (one.filename, one.content_type)
        assert (content.fence, content.refs) == (1, (A_FILE,))
        assert await read(ports.contents, content) == some_bytes(length)


async def test_repeat_is_not_refused(ports: Ports) -> None:
    bundle = [whole_content(some_bytes(length)) for length in LENGTHS]
    intake = ports.intake_with(15)
    assert not await intake.store_whole(bundle)
    assert not await intake.store_whole(bundle)


async def test_same_bundle_twice_at_once_is_stored_once(ports: Ports) -> None:
    one = whole_content(some_bytes(5))
    intake = ports.intake_with(15)
    answers = await asyncio.gather(*(intake.store_whole([one]) for _ in range(4)))
    assert {} in answers
    content = await ports.contents.get(one.id)
    assert content is not None
    assert await read(ports.contents, content) == some_bytes(5)


async def test_one_that_was_stored_with_other_bytes_is_refused_and_the_others_are_not(ports: Ports) -> None:
    first = whole_content(some_bytes(5))
    intake = ports.intake_with(15)
    await intake.store_whole([first])
    beside = whole_content(some_bytes(7))
    assert await intake.store_whole([whole_content(some_bytes(6), content_id=first.id), beside]) == {first.id: REFUSED}
    content = await ports.contents.get(first.id)
    assert content is not None
    assert await read(ports.contents, content) == some_bytes(5)
    assert (await ports.contents.get(beside.id)) is not None


async def test_one_that_another_fence_has_is_refused(ports: Ports) -> None:
    one = whole_content(some_bytes(5))
    intake = ports.intake_with(15)
    await opened(ports.contents, 5, fence=2, content_id=one.id)
    assert await intake.store_whole([one]) == {one.id: REFUSED}
    content = await ports.contents.get(one.id)
    assert content is not None
    assert (content.state, content.fence) == (ContentState.OPEN, 2)
    await intake.store_whole([sealed := whole_content(some_bytes(5))])
    assert await intake.store_whole([replace(sealed, fence=2)]) == {sealed.id: REFUSED}


async def test_dropped_content_can_not_be_stored_any_more(ports: Ports) -> None:
    one = whole_content(some_bytes(5))
    await ports.contents.drop_ref(one.id, A_FILE)
    assert await ports.intake_with(15).store_whole([one]) == {one.id: REFUSED}
    with pytest.raises(LeaseLost):
        await opened(ports.contents, 5, fence=9, content_id=one.id)


@pytest.mark.parametrize(("limit", "length"), [(0, 0), (0, 5), (1, MIB + 1)])
async def test_one_that_is_not_inline_here_is_refused(ports: Ports, limit: int, length: int) -> None:
    one = whole_content(some_bytes(length))
    assert await ports.intake_with(limit).store_whole([one]) == {one.id: PayloadTooLarge.code}
    assert await ports.contents.get(one.id) is None


@pytest.mark.parametrize("held", [set[str](), {"inline"}, {"manifests"}, {"inline", "manifests"}])
@pytest.mark.parametrize("by", ["a repeat", "the next writer"])
async def test_what_a_crash_left_is_completed(database: Database, held: set[str], by: str) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    intake, data = ports.intake_with(15), some_bytes(MIB + 5)
    one = await _half_stored(database, ports, data, held)
    if by == "a repeat":
        assert not await intake.store_whole([one])
    else:
        content = await opened(ports.contents, len(data), fence=2, content_id=one.id)
        assert any(await intake.digests(one.id, first=0, count=2)) is ("inline" in held)
        await store(intake, content, segment(data))
        await intake.seal(one.id, fence=2, seal=seal_of(data))
    sealed = await ports.contents.get(one.id)
    assert sealed is not None
    assert await read(ports.contents, sealed) == data


@pytest.mark.parametrize("held", [{"inline"}, {"manifests"}])
async def test_other_bytes_than_a_crash_left_are_refused(database: Database, held: set[str]) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    one = await _half_stored(database, ports, some_bytes(5), held)
    changed = some_bytes(6)[:5]
    other = whole_content(changed, content_id=one.id)
    assert await ports.intake_with(15).store_whole([other]) == {one.id: REFUSED}
    content = await ports.contents.get(one.id)
    assert content is not None
    assert content.state is ContentState.OPEN


async def test_one_that_is_taken_over_before_its_seal_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = mongo_ports(database, lease_seconds=60)
    one, insert = whole_content(some_bytes(5)), Manifests.insert_whole

    async def take_over(self: Manifests, contents: Sequence[WholeContent]) -> set[RecordId]:
        await opened(ports.contents, 5, fence=2, content_id=one.id)
        return await insert(self, contents)

    monkeypatch.setattr(Manifests, "insert_whole", take_over)
    beside = whole_content(some_bytes(6))
    assert await ports.intake_with(15).store_whole([one, beside]) == {one.id: REFUSED}
    content = await ports.contents.get(one.id)
    assert content is not None
    assert (content.state, content.fence) == (ContentState.OPEN, 2)


async def _half_stored(database: Database, ports: Ports, data: bytes, held: set[str]) -> WholeContent:
    """Return an open content of which only the documents in the collections `held` are stored."""
    one = whole_content(data)
    await ports.intake_with(15).store_whole([one])
    sealed = dict.fromkeys(("layout", "sha256", "manifest_root", "sealed_at"), "")
    await database["contents"].update_one({}, {"$set": {"state": ContentState.OPEN.value}, "$unset": sealed})
    for name in {"inline", "manifests"} - held:
        await database[name].delete_many({})
    return one

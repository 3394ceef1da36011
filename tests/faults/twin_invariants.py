"""The invariants that hold after every fault, once everything has come to rest."""

from gridhaul.transfer.digest import ContentDigest
from gridhaul.transfer.model import IfExists, RecordId
from gridhaul.transfer.naming import renamed
from gridhaul.transfer.states import ContentState, DeliveryState, FileState
from tests.contracts.bytes_to_store import read
from tests.delivered import objects_in
from tests.faults.twin_system import NAME, Case, TwinSystem


async def assert_delivered(system: TwinSystem, file_id: RecordId) -> None:
    """Require the right bytes, once, at the target and in the store, and nothing else in either place."""
    _assert_counted(system)
    await _assert_records_say_so(system, file_id)
    _assert_at_target(system)
    await _assert_in_store(system, file_id)
    assert "internal" not in system.codes, "an attempt ended with an unexpected error"


async def assert_failed(system: TwinSystem, file_id: RecordId, code: str) -> None:
    """Require that the file is FAILED with the code, and that nothing reached the target."""
    _assert_counted(system)
    file = await system.file(file_id)
    assert (file.state, file.error and file.error.code) == (FileState.FAILED, code)
    assert not await system.deliveries.of_file(file_id)
    assert not objects_in(system.delivered)


async def assert_deleted(system: TwinSystem, file_id: RecordId) -> None:
    """Require that the file is DELETED, and that nothing of its content is left. The delivered object may stay."""
    _assert_counted(system)
    assert (await system.file(file_id)).state is FileState.DELETED
    assert not system.contents.rows
    assert not system.contents.chunks
    assert not system.contents.manifests
    assert "internal" not in system.codes, "an attempt ended with an unexpected error"


def _assert_counted(system: TwinSystem) -> None:
    """Require that the account never counted less than its files use, and counts exactly that if no call failed."""
    assert not system.undercounted, "the owner's account counted less than the files took"
    used_bytes = sum(row.record.used_bytes for row in system.files.rows.values())
    assert system.account.used_bytes == used_bytes or system.faults.any_met


async def _assert_records_say_so(system: TwinSystem, file_id: RecordId) -> None:
    file, delivery = await system.file(file_id), await system.delivery(file_id)
    assert (file.state, file.error) == (FileState.STORED, None)
    assert (delivery.state, delivery.error) == (DeliveryState.DELIVERED, None)
    assert delivery.receipt is not None
    receipt = delivery.receipt
    assert (receipt.sha256, receipt.length) == (_sha256(system.case.data), len(system.case.data))
    assert (receipt.object_name, receipt.atomic_commit) == (final_name(system.case), system.case.atomic)
    assert delivery.leftovers == ()
    assert file.stored_bytes == delivery.sent_bytes == len(system.case.data)


def _assert_at_target(system: TwinSystem) -> None:
    case = system.case
    expected = {final_name(case): case.data}
    if case.if_exists is IfExists.RENAME and case.there_before is not None:
        expected[NAME] = case.there_before
    assert {path.name: path.read_bytes() for path in objects_in(system.delivered)} == expected
    if case.atomic:
        system.target.look()
        before = {(NAME, case.there_before)} if case.there_before is not None else set()
        assert system.target.seen == {*expected.items(), *before}, "an object with other bytes was under a final name"
        assert system.target.commits == 1


async def _assert_in_store(system: TwinSystem, file_id: RecordId) -> None:
    file = await system.file(file_id)
    assert file.content_id is not None
    content = await system.contents.get(file.content_id)
    assert content is not None
    assert (content.state, content.refs) == (ContentState.SEALED, (file_id,))
    assert content.layout is file.layout
    assert await read(system.contents, content) == system.case.data
    assert list(system.contents.rows) == [content.id]
    assert [*system.contents.chunks] == ([content.id] if content.length else [])
    assert [*system.contents.manifests] == [content.id]


def final_name(case: Case) -> str:
    """Return the name under which the object is delivered."""
    taken = case.if_exists is IfExists.RENAME and case.there_before is not None
    return renamed(NAME, 1) if taken else NAME


def _sha256(data: bytes) -> str:
    digest = ContentDigest()
    digest.update(data)
    return digest.hexdigest()

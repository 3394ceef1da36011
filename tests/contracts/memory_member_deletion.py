"""A memory twin of the deletion of a batch's files."""

from collections.abc import Sequence
from dataclasses import replace

from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.ports.batches import DeletableFiles, MemberDeletion
from gridhaul.transfer.states import DELETABLE, OPEN, FileState
from tests.contracts.memory_registry import MemoryDeliveries, MemoryFiles


class MemoryMemberDeletion:
    """A twin of `transfer.ports.batches.MemberDeletion` over the twins of files and deliveries."""

    def __init__(self, files: MemoryFiles, deliveries: MemoryDeliveries) -> None:
        self._files = files
        self._deliveries = deliveries

    async def begin_delete(self, batch_id: RecordId, *, limit: int) -> DeletableFiles:
        found = self._in_states(batch_id, DELETABLE | {FileState.DELETING})[:limit]
        over = [file for file in found if file.state is not FileState.DELETING]
        idle = [file for file in over if not self._has_open_delivery(file)]
        await self._files.begin_delete({file.id: file.deliveries_asked for file in idle})
        deleting = self._in_states(batch_id, frozenset({FileState.DELETING}))[:limit]
        return DeletableFiles(files=deleting, busy=len(over) - len(idle))

    async def end_delete(self, files: Sequence[File]) -> bool:
        return await self._files.end_delete([file.id for file in files]) == len(files)

    async def deleted(self, batch_id: RecordId, *, after: RecordId | None, limit: int) -> Sequence[File]:
        deleted = self._in_states(batch_id, frozenset({FileState.DELETED}))
        return [file for file in deleted if after is None or file.id < after][:limit]

    def _has_open_delivery(self, file: File) -> bool:
        return any(row.record.file_id == file.id and row.record.state in OPEN for row in self._deliveries.rows.values())

    def _in_states(self, batch_id: RecordId, states: frozenset[FileState]) -> list[File]:
        """Return the files of the batch that are in one of the states, newest first and without their history."""
        records = (row.record for row in self._files.rows.values())
        theirs = [replace(file, history=()) for file in records if file.batch_id == batch_id and file.state in states]
        return sorted(theirs, key=lambda file: file.id, reverse=True)


def _check(deletion: MemoryMemberDeletion) -> None:
    """Let the type checker see that the twin has the methods of its port."""
    _: MemberDeletion = deletion

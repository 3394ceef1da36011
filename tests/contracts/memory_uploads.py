"""A memory twin of the registry of uploads, over the rows of the files."""

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from gridhaul.transfer.errors import LeaseLost
from gridhaul.transfer.model import (
    File,
    Lease,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import FINISHED_BY_WORKERS, Door, Upload
from gridhaul.transfer.ports.uploads import ExpiringUploads, Uploads
from gridhaul.transfer.states import FileState
from tests.contracts.memory_registry import MemoryFiles, Row, moment, wall_clock

NO_HOLDER = {"holder": None, "asked_to_let_go": False}


class MemoryUploads(MemoryFiles):
    """A twin of `transfer.ports.uploads.Uploads` and `ExpiringUploads`. Its rows are those of the files."""

    def __init__(self, files: MemoryFiles, *, lifetime_seconds: float, finish_seconds: float) -> None:
        super().__init__(lease_seconds=files.lease_seconds)
        self.rows, self.by_key = files.rows, files.by_key
        self._lifetime_seconds = lifetime_seconds
        self._finish_seconds = finish_seconds

    async def create(self, new: NewFile) -> tuple[File, bool]:
        is_joined = isinstance(new.origin, Upload) and bool(new.origin.parts)
        file, made = self._registered(new, FileState.STORING if is_joined else FileState.RECEIVING)
        if made and not is_joined:
            self._live_on(self.rows[file.id])
        return self.rows[file.id].record, made

    async def unfinished(self, owner: str, name: str, door: Door, *, length: int) -> File | None:
        wanted = (owner, name, FileState.RECEIVING, door)
        files = [row.record for row in self.rows.values()]
        fitting = [file for file in files if file.upload and (file.length == length or file.upload.length_deferred)]
        found = [file for file in fitting if file.upload and _described(file, file.upload) == wanted]
        return replace(found[-1], history=()) if found else None

    async def ask_to_let_go(self, file_id: RecordId) -> bool:
        row = self._receiving(file_id)
        if row is None or _upload(row).holder is None:
            return False
        self._say(row, asked_to_let_go=True)
        return True

    async def take(self, file_id: RecordId, *, holder: str, new_content_id: RecordId) -> File | None:
        row = self._receiving(file_id)
        if row is None or _upload(row).holder is not None:
            return None
        return self._taken(row, holder, new_content_id)

    async def force(self, file_id: RecordId, *, holder: str, new_content_id: RecordId) -> File | None:
        row = self._receiving(file_id)
        if row is None:
            return None
        if _upload(row).holder is not None:
            self._say(row, forced_at=wall_clock())
        return self._taken(row, holder, new_content_id)

    def _taken(self, row: Row[File], holder: str, new_content_id: RecordId) -> File:
        file = row.record
        anew = file.content_id is None or (_upload(row).ordered and not file.stored_bytes)
        self._say(row, holder=holder, asked_to_let_go=False)
        self._write(row, fence=file.fence + 1, content_id=new_content_id if anew else file.content_id)
        self._live_on(row)
        return replace(row.record, history=())

    async def declare_length(self, lease: Lease, length: int) -> None:
        row = self._held(lease)
        self._say(row, length_deferred=False)
        self._write(row, length=length)
        self._live_on(row)

    async def advance(self, lease: Lease, *, offset: int, to_offset: int, rate: float | None = None) -> None:
        row = self._held(lease)
        if row.record.stored_bytes != offset:
            raise LeaseLost(f"file {lease.record_id} is at {row.record.stored_bytes}, not at {offset}")
        length = to_offset if _upload(row).length_deferred else row.record.length
        self._write(row, stored_bytes=to_offset, rate=rate, length=length)
        self._live_on(row)

    async def note_stored(self, lease: Lease, length: int) -> None:
        row = self._held(lease)
        self._write(row, stored_bytes=min(row.record.length, row.record.stored_bytes + length))
        self._live_on(row)

    async def name_digests(self, lease: Lease, *, sha256: str | None, md5: str | None) -> None:
        self._say(self._held(lease), sha256=sha256, md5=md5)

    async def let_go(self, lease: Lease) -> None:
        row = self._receiving(lease.record_id)
        if row is not None and row.record.fence == lease.fence:
            self._say(row, **NO_HOLDER)
            self._write(row)
            self._live_on(row)

    async def leases_to_end(self, leases: Collection[Lease]) -> Collection[Lease]:
        return [lease for lease in leases if not self._stays(lease)]

    async def discard(self, file_id: RecordId, *, who: str, fence: int | None = None) -> File | None:
        row = self._receiving(file_id)
        if row is None or fence not in (None, row.record.fence):
            return None
        self._say(row, **NO_HOLDER)
        changes = {"state": FileState.DELETING, "queue": Queue.MAINTENANCE, "error": None, "attempts": 0}
        self._change(row, {**changes, "fence": row.record.fence + 1}, who=who)
        self._due_now(row)
        return replace(row.record, history=())

    async def finish_whole(self, lease: Lease, **fields: object) -> None:
        row = self._held(lease)
        self._say(row, **NO_HOLDER)
        self._write(row, state=FileState.STORED, **fields)
        self._at_rest(row)

    async def begin_storing(self, lease: Lease) -> File:
        row = self._held(lease)
        self._say(row, **NO_HOLDER)
        self._write(row, state=FileState.STORING)
        self._hold(row)
        row.attempt_at(time.monotonic())
        return replace(row.record, history=())

    async def expire(self, file_id: RecordId) -> File | None:
        row = self._receiving(file_id)
        if row is None or _upload(row).expires_at > wall_clock():
            return None
        before = row.record
        self._say(row, **NO_HOLDER)
        self._write(row, state=FileState.EXPIRED, stored_bytes=0, fence=before.fence + 1)
        self._at_rest(row)
        return replace(before, history=())

    async def leave_to_workers(self, file_id: RecordId) -> File | None:
        row = self._receiving(file_id)
        if row is None or not _all_bytes_count(row) or not row.due_and_free:
            return None
        self._say(row, **NO_HOLDER)
        self._write(row, state=FileState.STORING, fence=row.record.fence + 1)
        self._due_now(row)
        return replace(row.record, history=())

    async def keep(self, file_ids: Collection[RecordId], *, seconds: float) -> None:
        self._move_expiry(file_ids, max, seconds)

    async def expire_within(self, file_ids: Collection[RecordId], *, owner: str, seconds: float) -> None:
        joined = [row.record for row in self.rows.values() if row.record.owner == owner]
        to_be_joined = [file for file in joined if file.state in (FileState.STORING, FileState.PAUSED)]
        needed = {part for file in to_be_joined if file.upload for part in file.upload.parts}
        self._move_expiry({*file_ids} - needed, min, seconds)

    def _move_expiry(self, file_ids: Collection[RecordId], choose: Callable[..., datetime], seconds: float) -> None:
        at = time.monotonic() + seconds
        for row in filter(None, map(self._receiving, file_ids)):
            if choose(_upload(row).expires_at, moment(at)) == moment(at):
                self._say(row, expires_at=moment(at))
                row.hint_at, row.hinted_at = at, None
                row.attempt_at(at)

    def _receiving(self, file_id: RecordId) -> Row[File] | None:
        row = self.rows.get(file_id)
        return row if row is not None and row.record.state is FileState.RECEIVING else None

    def _held(self, lease: Lease) -> Row[File]:
        row = self._receiving(lease.record_id)
        if row is None or row.record.fence != lease.fence:
            raise LeaseLost(f"file {lease.record_id}, fence {lease.fence}")
        return row

    def _stays(self, lease: Lease) -> bool:
        row = self._receiving(lease.record_id)
        return row is not None and row.record.fence == lease.fence and not _upload(row).asked_to_let_go

    def _live_on(self, row: Row[File]) -> None:
        now = time.monotonic()
        self._say(row, expires_at=moment(now + self._lifetime_seconds))
        row.hint_at = now + (self._finish_seconds if _all_bytes_count(row) else self._lifetime_seconds)
        row.hinted_at = None
        row.attempt_at(row.hint_at)

    def _say(self, row: Row[File], **fields: Any) -> None:
        row.record = replace(row.record, origin=replace(_upload(row), **fields))

    def _write(self, row: Row[File], **changes: Any) -> None:
        self._change(row, changes)


def _upload(row: Row[File]) -> Upload:
    assert row.record.upload is not None
    return row.record.upload


def _all_bytes_count(row: Row[File]) -> bool:
    file, upload = row.record, _upload(row)
    left = upload.door in FINISHED_BY_WORKERS
    return left and not upload.length_deferred and 0 < file.stored_bytes == file.length


def _described(file: File, upload: Upload) -> tuple[str, str, FileState, Door]:
    return file.owner, file.name, file.state, upload.door


def _check(uploads: MemoryUploads) -> None:
    """Let the type checker see that the twin has the methods of its ports."""
    _: tuple[Uploads, ExpiringUploads] = (uploads, uploads)

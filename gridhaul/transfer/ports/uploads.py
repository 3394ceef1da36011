"""The registry of files while clients send their bytes. All methods raise DatabaseUnavailable.

A request that appends holds the file under a fence (docs/adr/0020). Each write of its holder names the fence. It raises
LeaseLost once another request has taken the file, or the file has left the state RECEIVING.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

from gridhaul.transfer.model import (
    File,
    Lease,
    NewFile,
    RecordId,
)
from gridhaul.transfer.origins import Door


class ExpiringUploads(Protocol):
    async def expire(self, file_id: RecordId) -> File | None:
        """Move the file to EXPIRED if it is RECEIVING and its time has come. Return it as it was before, else None."""

    async def leave_to_workers(self, file_id: RecordId) -> File | None:
        """Move an upload all of whose bytes count from RECEIVING to STORING, and return it, else None.

        Its door is one of `FINISHED_BY_WORKERS`. It is moved only when it is due: the request that received the last
        bytes did not live long enough to do so. The caller sends the hint.
        """

    async def keep(self, file_ids: Collection[RecordId], *, seconds: float) -> None:
        """Let those of the files that are RECEIVING live for `seconds` from now, if their time would end earlier."""

    async def expire_within(self, file_ids: Collection[RecordId], *, owner: str, seconds: float) -> None:
        """Let those of the owner's files that are RECEIVING expire in `seconds` unless a request goes on with them.

        Files that are still to be joined to another one keep their time.
        """


class Uploads(Protocol):
    async def create(self, new: NewFile) -> tuple[File, bool]:
        """Register a file as `FileRegistration.register` does. Its origin is an upload.

        The file is RECEIVING. If it is joined from parts, it is STORING and due, and the caller sends the hint.
        """

    async def keep(self, file_ids: Collection[RecordId], *, seconds: float) -> None:
        """Do what `ExpiringUploads.keep` does."""

    async def get_all(self, file_ids: Collection[RecordId]) -> Sequence[File]:
        """Return those of the files that exist, in any order, without their history."""

    async def get(self, file_id: RecordId) -> File | None:
        """Return the file, or None."""

    async def unfinished(self, owner: str, name: str, door: Door, *, length: int) -> File | None:
        """Return the owner's newest file with this name that is RECEIVING through the door, or None.

        The file has this length in bytes, or its length is not known yet.
        """

    async def ask_to_let_go(self, file_id: RecordId) -> bool:
        """Ask the holder to store what it has and to end. Return whether there is a holder."""

    async def take(self, file_id: RecordId, *, holder: str, new_content_id: RecordId) -> File | None:
        """Take a file that is RECEIVING and has no holder, and return it under its next fence. Otherwise return None.

        An ordered upload of which no byte counts yet gets the new content: what an earlier request may have stored is
        given up. So does a file without a content. The upload's time to expire begins anew.
        """

    async def force(self, file_id: RecordId, *, holder: str, new_content_id: RecordId) -> File | None:
        """Do what `take` does, also if the file has a holder, whose next write then fails."""

    async def declare_length(self, lease: Lease, length: int) -> None:
        """Note the length of an upload that had named none. The upload's time to expire begins anew."""

    async def advance(self, lease: Lease, *, offset: int, to_offset: int, rate: float | None = None) -> None:
        """Move the offset, under the condition that it is still `offset`.

        While the length is not known, the file's length grows with the offset. The upload's time to expire begins anew.
        """

    async def note_stored(self, lease: Lease, length: int) -> None:
        """Count more bytes of a parallel upload, for people who watch. Bytes that are sent again count again.

        The upload's time to expire begins anew.
        """

    async def name_digests(self, lease: Lease, *, sha256: str | None, md5: str | None) -> None:
        """Note the digests of all bytes, which the client names at the end; None: it names none of this kind."""

    async def let_go(self, lease: Lease) -> None:
        """End the holding. The upload's time to expire begins anew. Do nothing if the file is no longer held."""

    async def leases_to_end(self, leases: Collection[Lease]) -> Collection[Lease]:
        """Return the leases whose requests have to end: another request has asked for the upload, or has taken it."""

    async def discard(self, file_id: RecordId, *, who: str, fence: int | None = None) -> File | None:
        """Move a file that is RECEIVING, and has the fence if one is named, to DELETING. Return it, else None.

        Its holder loses it. The file is due now, and the caller sends the hint.
        """

    async def finish_whole(self, lease: Lease, **fields: object) -> None:
        """Move a file, all of whose bytes are stored and sealed, to STORED, with these fields of its record."""

    async def begin_storing(self, lease: Lease) -> File:
        """Move the file, all of whose bytes are stored, to STORING. Until the lease ends, only its holder works on it.

        The holder ends the lease as a worker does. If it does not, a worker goes on.
        """

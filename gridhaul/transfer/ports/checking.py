"""Checks: their records, the reads that find faults in what is stored, and the repairs.

All methods raise DatabaseUnavailable.

A check walks in the order of ids: a method that lists takes the last id of the step before as `after`, "" at the
beginning. A repair names what was found and changes nothing if that has changed since; it returns whether it changed
anything.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from gridhaul.transfer.checks import Check, CheckKind, CheckState, NewCheck
from gridhaul.transfer.findings import SkipReason
from gridhaul.transfer.judgement import StoredChunk
from gridhaul.transfer.model import Content, Delivery, Failure, File, Lease, RecordId
from gridhaul.transfer.ports.leasing import LeasedRecords, MovableRecords, ReadableRecords
from gridhaul.transfer.ports.targets import UnfinishedUpload

Folder = tuple[str, str]  # a target's name and a folder at the target, "" for the top


class CheckRegistry(ReadableRecords[Check], MovableRecords[Check, CheckState], Protocol):
    """The records of checks as the api uses them."""

    async def open(self, new: NewCheck) -> tuple[Check, bool]:
        """Return the check, and whether this call queued it. While the same check is open, no second one is queued."""

    async def page(
        self,
        *,
        limit: int,
        before: RecordId | None,
        kind: CheckKind | None = None,
        file_id: RecordId | None = None,
    ) -> Sequence[Check]:
        """Return at most `limit` checks without their findings, newest first, older than `before`.

        With `kind`, only checks of the kind; with `file_id`, only those that look at this file alone.
        """

    async def newest_about(
        self, *, file_id: RecordId, content_id: RecordId, sealed_at: datetime | None
    ) -> Check | None:
        """Return the newest check that is about the file's content, or None.

        Such a check has a finding about the content, or looks at this file alone and was opened since `sealed_at`. An
        older check of the file looked at another content. None as `sealed_at`: the time does not matter.
        """


class RunnableChecks(LeasedRecords[Check, CheckState], Protocol):
    """The records of checks as workers use them."""

    async def pause(self, lease: Lease, **changes: object) -> None:
        """End the lease between two slices; the caller sends the hint for the next one. Raises LeaseLost."""


class CheckSchedule(Protocol):
    async def open_due(self) -> Sequence[Check]:
        """Open the checks whose time has come. Return those that this call queued; the caller hints them."""


class ManifestPages(Protocol):
    """A content's chunk digests, from both places where they are stored."""

    async def manifest_page(self, content: Content, page: int) -> bytes:
        """Return a page of the manifest, 32 bytes a chunk, or b"" if it is missing."""

    async def digest_page(self, content: Content, page: int) -> bytes:
        """Return the same page made of the digests beside the chunks, b"" if one is missing or stored twice."""


class Inspection(ManifestPages, Protocol):
    """Sealed contents as they lie in the store."""

    async def catch_up(self) -> None:
        """Wait until reads see everything that was ever acknowledged. Called before anything is reported as missing."""

    async def next_sealed(self, *, after: str) -> Content | None:
        """Return the sealed content with the next higher id, or None."""

    async def sealed(self, content_id: RecordId) -> Content | None:
        """Return the content, or None if it is not sealed (any more)."""

    async def totals(self, only: RecordId | None) -> tuple[int, int]:
        """Return the number of sealed contents and their length together in bytes; with `only`, count only that one."""

    async def chunks(self, content: Content, first: int, count: int) -> Sequence[StoredChunk]:
        """Return all that is stored under `count` numbers from `first` on, doubles too, in order."""

    async def strays(self, content: Content) -> Sequence[int]:
        """Return numbers under which chunks are stored, although the content has no such numbers."""

    async def is_published(self, content: Content) -> bool:
        """Return whether the GridFS bucket's `files` document exists and is as sealing wrote it."""


class Mending(Protocol):
    """Repairs of a sealed content that need no bytes from its source."""

    async def set_digest(self, content: Content, n: int, key: object, manifest: bytes, digest: bytes) -> bool:
        """Store the manifest's digest beside a chunk whose data is right.

        An inline content stores its digests as one value: `manifest`, its only page, replaces them all. For other
        contents only `digest` is used.
        """

    async def drop_doubles(self, content: Content, n: int, keep: object, digest: bytes) -> bool:
        """Keep one document with the right data under number `n`, and remove all others.

        The document `keep` stays if its data is right, otherwise any document with the right data. Raises ChunkCorrupt,
        and removes none, if no document has the right data.
        """

    async def drop_stray(self, content: Content, n: int) -> bool:
        """Remove a chunk that is stored under a number that the content does not have."""

    async def write_manifest(self, content: Content, page: int, digests: bytes) -> bool:
        """Write one page of the manifest."""

    async def publish(self, content: Content) -> bool:
        """Write the GridFS bucket's `files` document anew."""


class Orphans(Protocol):
    """Stored bytes that no record refers to."""

    async def with_chunks(self, *, after: str, limit: int) -> Sequence[RecordId]:
        """Return the next ids of contents that chunks are stored of."""

    async def with_inline(self, *, after: str, limit: int) -> Sequence[RecordId]:
        """Return the next ids of contents that an inline document is stored of."""

    async def with_manifest(self, *, after: str, limit: int) -> Sequence[RecordId]:
        """Return the next ids of contents that a manifest is stored of."""

    async def with_bucket_file(self, *, after: str, limit: int) -> Sequence[RecordId]:
        """Return the next ids of GridFS `files` documents that Gridhaul wrote."""

    async def orphaned(self, content_ids: Sequence[RecordId]) -> Sequence[RecordId]:
        """Return the ids that neither a content's record nor a file has, without ids that were made only lately.

        The caller has found bytes under the ids before this call. A record is made before its bytes, so where there are
        bytes and no record now, none will come.
        """

    async def unreferenced(self, *, after: str, limit: int) -> tuple[Sequence[Content], str]:
        """Look at the next `limit` contents. Return those that no file refers to, and the id to continue after.

        The id is "" at the end.
        """

    async def has_chunks(self, content_id: RecordId) -> bool:
        """Return whether Gridhaul wrote any of the chunks that are stored under the id."""

    async def remove_chunks(self, content_id: RecordId) -> bool: ...
    async def remove_inline(self, content_id: RecordId) -> bool: ...
    async def remove_manifest(self, content_id: RecordId) -> bool: ...
    async def remove_bucket_file(self, content_id: RecordId) -> bool: ...


class RecordKind(StrEnum):
    """Records that workers work on, by the name of their collection."""

    FILE = "files"
    DELIVERY = "deliveries"
    CONTENT = "contents"
    CHECK = "checks"


@dataclass(frozen=True, kw_only=True, slots=True)
class StalledRecord:
    """A record that waits for something that will not happen."""

    kind: RecordKind
    id: RecordId
    state: str
    file_id: RecordId | None  # the file that the record belongs to, None for contents and checks


class StalledRecords(Protocol):
    """Records that no worker will touch again without help. With `only`, those that belong to that file."""

    async def stored_files(self, *, after: str, limit: int) -> Sequence[File]:
        """Return the next files that are STORED."""

    def stale_leases(self, only: File | None) -> AsyncGenerator[StalledRecord]:
        """Yield records whose lease ended long ago, and that no worker was told of since."""

    def off_agenda(self, only: File | None) -> AsyncGenerator[StalledRecord]:
        """Yield records without a lease that wait for a worker, although no hint is planned or was sent for them."""

    def stale_claims(self, only: File | None) -> AsyncGenerator[StalledRecord]:
        """Yield deliveries that are over and have no leftovers, and still claim a name at their target."""

    async def end_lease(self, found: StalledRecord) -> bool:
        """Take the lease away; a record that waits for a worker goes back on the agenda."""

    async def put_on_agenda(self, found: StalledRecord) -> bool:
        """Let the dispatcher send a hint for the record now, or, if it is leased, when the lease ends."""

    async def end_claim(self, found: StalledRecord) -> bool:
        """Free the name that the delivery claims."""


class DeliveredObjects(Protocol):
    """The objects that deliveries say are at their targets, and those that they left there."""

    async def delivered(self, *, after: str, of_file: RecordId | None, limit: int) -> Sequence[Delivery]:
        """Return the next deliveries that are DELIVERED."""

    async def is_superseded(self, delivery: Delivery) -> bool:
        """Return whether another delivery has written under the same name since, or may be doing so."""

    async def why_not_ours(self, delivery: Delivery) -> SkipReason | None:
        """Do what `transfer.ports.deliveries.DeliveryRegistry.why_not_ours` does."""

    async def note_object(self, delivery: Delivery, error: Failure | None) -> bool:
        """Write how the delivery's object was found lost, or None for an object that was found right.

        Return False, and write nothing, unless the delivery is still DELIVERED with the same fence.
        """

    async def next_not_cleaned(self, *, after: str, of_file: RecordId | None) -> Delivery | None:
        """Return the delivery with the next higher id whose last cleaning left something; None at the end."""

    async def make_cleaning_due(self, delivery_id: RecordId) -> None:
        """End the pause since the delivery's last cleaning, if leftovers remained and no worker has the delivery."""

    async def forget_cleaning_error(self, delivery: Delivery) -> bool:
        """Remove the delivery's cleaning error. Return False if a cleaning is to come, or the record has changed."""

    async def next_folder(self, after: Folder | None, of_file: RecordId | None) -> Folder | None:
        """Return the next folder, ordered by target and name, in which a delivery ever held a name; None at the end."""

    async def over_long_ago(self, delivery_id: RecordId) -> Delivery | None:
        """Return the delivery if it ended long ago, no worker has it, and none of its leftovers waits to be removed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BegunUpload:
    """An unfinished upload at a target, and the delivery that it was begun for."""

    upload: UnfinishedUpload
    delivery_id: RecordId
    file_id: RecordId


class BegunUploads(Protocol):
    """The uploads that deliveries have begun at their targets."""

    async def next_target(self, *, after: str) -> str | None:
        """Return the target that comes next by name among those that deliveries name; None at the end."""

    async def now(self) -> datetime:
        """Return the database server's time."""

    async def begun(
        self, target: str, uploads: Sequence[UnfinishedUpload], *, asked_at: datetime
    ) -> Sequence[BegunUpload]:
        """Return the uploads that deliveries to the target have begun, without those that were begun only lately.

        The caller has asked for `now` before it has listed the uploads. An upload is a delivery's if it has the
        delivery's final name, and was begun up to 130 s after a time at which the delivery's worker was about to begin
        one, or up to 10 s before that time, because clocks differ. An upload without an age is nobody's.
        """

    async def may_be_named(self, upload: UnfinishedUpload) -> bool:
        """Return whether a record names the upload, or a worker may be about to note its id.

        Two targets may be one bucket, so the record may be that of a delivery to another target. False stays true: an
        upload that was listed before this call, and that no record names after it, is never named.
        """


@dataclass(frozen=True, kw_only=True, slots=True)
class Recount:
    """The bytes that an account counts, and the sum over its files."""

    owner: str
    used_bytes: int  # as the account counts them
    counted_bytes: int  # the sum over the files
    charged_at: datetime | None  # the account's last charge or announcement


class Recounts(Protocol):
    async def next(self, *, after: str) -> Recount | None:
        """Return the recount of the next account by name that was neither charged nor announced lately.

        Return None at the end.
        """

    async def set_right(self, found: Recount) -> bool:
        """Set the account's count to the sum, unless the account was charged, announced or released since."""

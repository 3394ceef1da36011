"""Every error that Gridhaul raises, as classes with a code, an HTTP status and whether trying again can help.

GridhaulError
├── bad requests          Malformed, Unauthorized, Forbidden, NotFound, StateConflict …
├── source                PathInvalid, PathNotAllowed, SourceMissing, SourceChanged …
├── storage               StaleFence, ChunkConflict, DigestMismatch, IntakeBusy, StorageFull, QuotaExceeded …
├── integrity             ChunkMissing, ChunkCorrupt, ChunkDoubled, ContentMismatch
└── delivery              TargetUnavailable, TargetRefused, TargetMismatch, ObjectExists, OutcomeUnknown …

`LeaseLost` and `StopRequested` are not failures: they tell a worker to stop its work on a record.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar


class Patience(StrEnum):
    """How long attempts that end with a retryable error are repeated."""

    ATTEMPTS = "attempts"  # up to MAX_ATTEMPTS attempts in a row without progress
    HOURS = "hours"  # for RETRY_HOURS, with growing pauses: the cause is outside, and may pass by itself
    ENDLESS = "endless"  # until the attempts are stopped: the cause is outside, and holds up everything alike


class GridhaulError(Exception):
    """The root of all errors. `detail` says what happened and what to do, in words for a client."""

    code: ClassVar[str] = "internal"  # the member `code` of problem documents
    status: ClassVar[int] = 500  # the HTTP status
    retryable: ClassVar[bool] = False  # True: trying again can help
    patience: ClassVar[Patience] = Patience.ATTEMPTS  # of a retryable error

    def __init__(self, detail: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class InternalError(GridhaulError):
    retryable = True


# Bad requests


class Malformed(GridhaulError):
    code, status = "malformed", 400


class InconsistentLength(Malformed):
    """The lengths that requests name for one upload differ, or the bytes do not fit to them."""

    code = "inconsistent_length"


class UploadCompleted(GridhaulError):
    """The client of a complete upload has asked for its completion again."""

    code, status = "upload_completed", 400


class DigestRequired(GridhaulError):
    code, status = "digest_required", 400


class Unauthorized(GridhaulError):
    code, status = "unauthorized", 401


class ClocksDiffer(Unauthorized):
    """A token with a right signature is from another time: the clock of the worker or of the chunk service is wrong."""

    code = "clocks_differ"


class Forbidden(GridhaulError):
    code, status = "forbidden", 403


class PasswordNeeded(Forbidden):
    """A login with the account's password may do what this token or key may not."""

    code = "password_needed"


class CrossSiteRequest(Forbidden):
    """Another page than the service's own sent a request that only the service's own page may send."""

    code = "cross_site_request"


class NotFound(GridhaulError):
    code, status = "not_found", 404


class RequestTimeout(GridhaulError):
    code, status, retryable = "request_timeout", 408, True


class StateConflict(GridhaulError):
    code, status = "state_conflict", 409


class NotStored(GridhaulError):
    code, status = "not_stored", 409


class DeliveryOpen(GridhaulError):
    code, status = "delivery_open", 409


class OptionsConflict(GridhaulError):
    code, status = "options_conflict", 409


class OffsetMismatch(GridhaulError):
    """The bytes of a request do not follow those that are stored. `offset` is where the next request has to begin."""

    code, status = "offset_mismatch", 409

    def __init__(self, detail: str, *, offset: int) -> None:
        super().__init__(detail)
        self.offset = offset


class UploadTakenOver(GridhaulError):
    """Another request continues the upload, or it was stopped. The connection of the older request is closed."""

    code, status = "upload_taken_over", 409


class DoorConflict(GridhaulError):
    """The upload was begun in a way that takes other requests than this one."""

    code, status = "door_conflict", 409


class AccountExists(GridhaulError):
    code, status = "account_exists", 409


class TooManyKeys(GridhaulError):
    code, status = "too_many_keys", 409


class LengthRequired(GridhaulError):
    code, status = "length_required", 411


class ContentDiffers(GridhaulError):
    """The bytes are not those that the caller named as the ones it expects."""

    code, status = "content_differs", 412


class PayloadTooLarge(GridhaulError):
    code, status = "payload_too_large", 413


class TusVersionUnknown(GridhaulError):
    code, status = "tus_version_unknown", 412


class UriTooLong(GridhaulError):
    code, status = "uri_too_long", 414


class UnsupportedMediaType(GridhaulError):
    code, status = "unsupported_media_type", 415


class RangeNotSatisfiable(GridhaulError):
    """No byte of the content lies in the range."""

    code, status = "range_not_satisfiable", 416

    def __init__(self, *, length_bytes: int) -> None:
        super().__init__(f"The range begins behind the end: the file has {length_bytes} bytes.")
        self.length_bytes = length_bytes


class TooManyRequests(GridhaulError):
    code, status, retryable = "too_many_requests", 429, True


class TooManyOpenFiles(GridhaulError):
    code, status, retryable = "too_many_open_files", 429, True


class TooManyOpenBatches(GridhaulError):
    code, status, retryable = "too_many_open_batches", 429, True


class TooManyLists(GridhaulError):
    code, status, retryable = "too_many_lists", 429, True


class InvalidValue(GridhaulError):
    code, status = "invalid_value", 422


class NotCombinable(GridhaulError):
    """A request asks for a list that no index serves. `invalid` names the parameters that cannot be combined."""

    code, status = "not_combinable", 422

    def __init__(self, detail: str, *, invalid: Sequence[str] = (), retry_after_seconds: float | None = None) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.invalid = tuple(invalid)


class IdempotencyConflict(GridhaulError):
    code, status = "idempotency_conflict", 422


class DigestMismatch(GridhaulError):
    code, status = "digest_mismatch", 422


class LengthMismatch(GridhaulError):
    code, status = "length_mismatch", 422


class TargetUnknown(GridhaulError):
    code, status = "target_unknown", 422


class PatternInvalid(GridhaulError):
    code, status = "pattern_invalid", 422


class ManifestInvalid(GridhaulError):
    code, status = "manifest_invalid", 422


class UploadIsJoined(GridhaulError):
    """A client sent bytes to an upload that is joined from others."""

    code, status = "upload_is_joined", 403


class PartsIncomplete(GridhaulError):
    """Uploads that are to be joined have not arrived yet."""

    code, status, retryable, patience = "parts_incomplete", 409, True, Patience.ENDLESS


class PartGone(GridhaulError):
    """An upload that is to be joined with others was ended, or has expired."""

    code, status = "part_gone", 410


class UploadDigestMismatch(GridhaulError):
    """The bytes of a whole upload are not those that the client named by their digest."""

    code, status = "upload_digest_mismatch", 422


class ChecksumMismatch(GridhaulError):
    """The bytes of one request are not those of its checksum (tus 1.0.0); they were discarded."""

    code, status = "checksum_mismatch", 460


class HeadersTooLarge(GridhaulError):
    code, status = "headers_too_large", 431


# Source


class PathInvalid(GridhaulError):
    code, status = "path_invalid", 422


class PathNotAllowed(GridhaulError):
    code, status = "path_not_allowed", 403


class NotARegularFile(GridhaulError):
    code, status = "not_a_regular_file", 422


class SourceMissing(GridhaulError):
    code, status = "source_missing", 404


class SourceUnreadable(GridhaulError):
    code, status = "source_unreadable", 403


class SourceTooLarge(GridhaulError):
    code, status = "source_too_large", 413


class SourceChanged(GridhaulError):
    code, status = "source_changed", 409


class ManifestMismatch(GridhaulError):
    code, status = "manifest_mismatch", 409


class SourceStartedOver(GridhaulError):
    """The source changed and was registered anew; the next attempt reads the source from its start."""

    code, status, retryable = "source_started_over", 409, True


class SourceReadFailed(GridhaulError):
    code, status, retryable = "source_read_failed", 503, True


class SourceUnavailable(SourceReadFailed):
    """The source's file system does not answer."""

    code, patience = "source_unavailable", Patience.HOURS


# Storage


class StaleFence(GridhaulError):
    code, status = "stale_fence", 409


class ContentUnknown(NotFound):
    code = "content_unknown"


class ChunkConflict(GridhaulError):
    code, status = "chunk_conflict", 409


class ContentSealed(GridhaulError):
    code, status = "content_sealed", 409


class ContentIncomplete(GridhaulError):
    code, status = "content_incomplete", 409


class ChunkOutOfRange(GridhaulError):
    code, status = "chunk_out_of_range", 416


class IntakeBusy(GridhaulError):
    code, status, retryable, patience = "intake_busy", 503, True, Patience.ENDLESS


class DatabaseUnavailable(GridhaulError):
    code, status, retryable, patience = "database_unavailable", 503, True, Patience.ENDLESS


class ListsBusy(GridhaulError):
    code, status, retryable = "lists_busy", 503, True


class DownloadsBusy(GridhaulError):
    code, status, retryable = "downloads_busy", 503, True


class StreamsBusy(GridhaulError):
    code, status, retryable = "streams_busy", 503, True


class UploadsBusy(GridhaulError):
    code, status, retryable = "uploads_busy", 503, True


class ServiceStopping(GridhaulError):
    code, status, retryable, patience = "service_stopping", 503, True, Patience.ENDLESS


class BrokerUnavailable(GridhaulError):
    code, status, retryable, patience = "broker_unavailable", 503, True, Patience.ENDLESS


class BrokerRefusesWrites(GridhaulError):
    code, status, retryable, patience = "broker_refuses_writes", 503, True, Patience.ENDLESS


class BrokerKeyTaken(GridhaulError):
    code, status, retryable, patience = "broker_key_taken", 503, True, Patience.ENDLESS


class ForeignMessages(GridhaulError):
    code, status, retryable, patience = "foreign_messages", 503, True, Patience.ENDLESS


class NoWorker(GridhaulError):
    code, status, retryable, patience = "no_worker", 503, True, Patience.ENDLESS


class StorageFull(GridhaulError):
    code, status, retryable, patience = "storage_full", 507, True, Patience.ENDLESS


DISK_FULL = "The disk of the database is full up to its reserve; delete files or add disk space."  # for StorageFull
BROKER_SILENT = "The broker Redis does not answer."  # the detail of BrokerUnavailable


class QuotaExceeded(GridhaulError):
    code, status = "quota_exceeded", 507


class ChunkServiceUnavailable(GridhaulError):
    code, status, retryable, patience = "chunk_service_unavailable", 503, True, Patience.ENDLESS


class ChunkServiceFailed(GridhaulError):
    code, status, retryable = "chunk_service_failed", 502, True


class ChunkServiceRefused(GridhaulError):
    """The worker and the chunk service do not have the same secret, or not the same time."""

    code, status, retryable = "chunk_service_refused", 502, True


class SegmentDamaged(GridhaulError):
    """The chunk service received other bytes than were sent: a bit flipped on the way."""

    code, status, retryable = "segment_damaged", 502, True


# Integrity


class IntegrityError(GridhaulError):
    """Stored bytes differ from what the manifest says."""

    code = "integrity"


class ChunkMissing(IntegrityError):
    code = "chunk_missing"


class ChunkCorrupt(IntegrityError):
    code = "chunk_corrupt"


class ChunkDoubled(IntegrityError):
    code = "chunk_doubled"


class ContentMismatch(IntegrityError):
    code = "content_mismatch"


# Delivery


class TargetUnavailable(GridhaulError):
    code, status, retryable, patience = "target_unavailable", 502, True, Patience.HOURS


class TargetLocked(TargetUnavailable):
    """Another request to the object is under way at the target."""

    code = "target_locked"


class TargetInconsistent(TargetUnavailable):
    """The target's answers contradict each other, because it changed meanwhile or shows a change only later."""

    code, patience = "target_inconsistent", Patience.ATTEMPTS


class TargetBusy(TargetUnavailable):
    """The target cannot take so much at once now."""

    code = "target_busy"


class TargetFull(TargetUnavailable):
    """The target has no space for the object now."""

    code, status = "target_full", 507


class TargetRefused(GridhaulError):
    code, status = "target_refused", 502


class NotAnObject(TargetRefused):
    """A folder, or something else that is no object, has the name."""

    code = "not_an_object"


class TargetNotExclusive(GridhaulError):
    """The target may replace an object that takes the name in the last moment; the delivery's policy forbids that."""

    code, status = "target_not_exclusive", 422

    def __init__(self, target: str) -> None:
        super().__init__(
            f"The target {target!r} cannot refuse a name that is taken in the last moment, so an object that another "
            "program writes meanwhile would be replaced. Deliver with the policy overwrite, or let an operator set "
            f"allow_overwrite_race = true for {target!r} in the targets file, which accepts that."
        )


class TargetMismatch(GridhaulError):
    code, status = "target_mismatch", 502


class ObjectExists(GridhaulError):
    code, status = "object_exists", 409


class ObjectNameBusy(GridhaulError):
    """Another delivery that is open or not cleaned up yet holds the name; this one follows when the name is free."""

    code, status, retryable, patience = "object_name_busy", 409, True, Patience.ENDLESS


class OutcomeUnknown(GridhaulError):
    code, status = "outcome_unknown", 502


class ListGone(GridhaulError):
    code, status = "list_gone", 410


class UploadGone(GridhaulError):
    code, status = "upload_gone", 410


class FileDeleted(GridhaulError):
    code, status = "file_deleted", 410


class WorkerLost(GridhaulError):
    code, status = "worker_lost", 500


# Not failures


class LeaseLost(Exception):
    """This worker no longer holds the record: it must write nothing to the record, and touch nothing remote."""


class StopRequested(Exception):
    """The worker is asked to stop: it must release the lease, so that the record is due now."""


def by_code(code: str) -> type[GridhaulError] | None:
    """Return the class whose code a problem document has, or None if no class has it."""
    return _BY_CODE.get(code)


def _tree(cls: type[GridhaulError]) -> list[type[GridhaulError]]:
    return [cls, *(below for sub in cls.__subclasses__() for below in _tree(sub))]


_BY_CODE = {cls.code: cls for cls in reversed(_tree(GridhaulError))}

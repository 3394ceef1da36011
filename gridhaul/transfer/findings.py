"""The faults that a check can find, and the outcome of each."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from gridhaul.transfer.model import RecordId


class FindingCode(StrEnum):
    """The codes of faults. Each has a line that says its meaning to people."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    CHUNK_MISSING = "chunk_missing", "A chunk of the content is not stored."
    CHUNK_CORRUPT = "chunk_corrupt", "A chunk's data is not what the manifest says."
    CHUNK_MISPLACED = "chunk_misplaced", "A chunk is whole, but belongs to another number of the content."
    CHUNK_DOUBLED = "chunk_doubled", "A number of the content is stored more than once."
    CHUNK_EXTRA = "chunk_extra", "Chunks are stored past the end of the content."
    DIGEST_FIELD_WRONG = "digest_field_wrong", "A chunk's data is right, the digest stored beside it is not."
    MANIFEST_DAMAGED = "manifest_damaged", "The manifest's pages are missing, or do not give the content's root."
    CONTENT_MISMATCH = "content_mismatch", "The records of file and content disagree on length or digests."
    BUCKET_FILE_MISSING = "bucket_file_missing", "The GridFS `files` document is missing, or says something else."

    CHUNKS_ORPHANED = "chunks_orphaned", "Chunks are stored of a content that has no record."
    INLINE_ORPHANED = "inline_orphaned", "A small content's bytes are stored, but it has no record."
    MANIFEST_ORPHANED = "manifest_orphaned", "A manifest is stored of a content that has no record."
    BUCKET_FILE_ORPHANED = "bucket_file_orphaned", "A GridFS `files` document is stored of a content without a record."
    CONTENT_UNREFERENCED = "content_unreferenced", "No file refers to the content, or only deleted ones."
    CONTENT_MISSING = "content_missing", "A file is STORED, but its content has no record or is being deleted."

    LEASE_STALE = "lease_stale", "A lease ended long ago, and no worker looks at the record."
    CLAIM_STALE = "claim_stale", "A delivery that is over still claims a name at its target."
    OFF_AGENDA = "off_agenda", "A record waits for a worker, but no worker will ever be told."

    USAGE_WRONG = "usage_wrong", "An account's quota counts more or less than its files take."

    LEFTOVERS_REMAIN = "leftovers_remain", "Something that a delivery left at its target could not be removed yet."
    TEMPORARY_LEFT = "temporary_left", "A temporary object of a delivery that is over lies at the target."
    UPLOAD_LEFT = "upload_left", "The target has an unfinished upload of a delivery, and no record names it."
    OBJECT_MISSING = "object_missing", "A delivered object is no longer at the target."
    OBJECT_DIFFERS = "object_differs", "The target has other bytes under the name than were delivered."
    TARGET_SILENT = "target_silent", "A target could not be asked, or refused to show an object."


OF_CHUNKS = frozenset(  # faults of one chunk, which the finding names by its number
    {
        FindingCode.CHUNK_MISSING,
        FindingCode.CHUNK_CORRUPT,
        FindingCode.CHUNK_MISPLACED,
        FindingCode.CHUNK_DOUBLED,
        FindingCode.CHUNK_EXTRA,
        FindingCode.DIGEST_FIELD_WRONG,
    }
)


class SkipReason(StrEnum):
    """The reasons why the object of a delivery is not judged. Each has a line and a phrase that say it to people."""

    meaning: str
    phrase: str  # stands after a number of objects

    def __new__(cls, code: str, meaning: str, phrase: str) -> Self:
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.phrase = phrase
        return member

    REPLACED = "replaced", "A later delivery put other bytes under the name.", "replaced by a later delivery"
    NAME_HELD = "name_held", "Another delivery writes to the name, or is not cleaned up there.", "being written"
    CHANGED = "changed", "The delivery changed while its object was looked at.", "changed meanwhile"
    NOT_TOLD = "not_told", "The target does not tell what it holds under the name.", "not told by the target"
    TARGET_SILENT = "target_silent", "The target could not be asked.", "at a target that could not be asked"
    REFUSED = "refused", "The target refuses to show the object, such as behind a link.", "refused by the target"


class Outcome(StrEnum):
    """The outcome of a finding."""

    FOUND = "found"  # no repair was asked for
    WOULD_REPAIR = "would_repair"  # a repair would be tried
    REPAIRED = "repaired"
    NOT_REPAIRED = "not_repaired"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A fault, its exact place, and what was done about it."""

    code: FindingCode
    detail: str  # the fault in words for people
    content_id: RecordId | None = None
    file_id: RecordId | None = None
    delivery_id: RecordId | None = None
    n: int | None = None  # the chunk's number
    target: str | None = None
    name: str | None = None  # of an object or a folder at the target; else a check's id, or a username
    upload_id: str | None = None  # of a multipart upload at the target
    outcome: Outcome = Outcome.FOUND
    why_not: str | None = None  # why no repair is possible; None: repaired, repairable, or not known

"""The parts of the uploads' core that live as long as the process."""

from dataclasses import dataclass

from api.uploads.holding import Holdings
from api.uploads.memory import UploadMemory
from api.uploads.parallel.digests import ParallelDigests
from api.uploads.running_digests import RunningDigests
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import PayloadTooLarge
from gridhaul.transfer.grants import ContentGrant
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Upload
from gridhaul.transfer.ports.accounts import AccountUsage
from gridhaul.transfer.ports.chunk_service import UploadWriting
from gridhaul.transfer.ports.contents import UploadContents
from gridhaul.transfer.ports.hints import Hints
from gridhaul.transfer.ports.leasing import HeldRecords
from gridhaul.transfer.ports.uploads import Uploads
from gridhaul.transfer.states import FileState

LARGEST_BYTES = CHUNK_BYTES << 31  # the numbers of chunks in GridFS have 31 bits


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadParts:
    registry: Uploads
    files: HeldRecords[FileState]  # the same records, once they are STORING
    contents: UploadContents
    chunks: UploadWriting
    usage: AccountUsage
    hints: Hints
    memory: UploadMemory
    digests: RunningDigests
    parallel_digests: ParallelDigests
    holdings: Holdings
    late_seconds: float  # how long chunks may still be stored for an upload after it was taken by force
    stall_seconds: float  # how long a body may not arrive
    max_file_bytes: int | None = None
    lifetime_seconds: float  # how long an upload that nobody continues is kept
    offers_draft: bool  # False: clients of Resumable Uploads for HTTP are refused
    public_url: str | None  # what the addresses of uploads begin with; None: as the request's own address begins


def reserved_length(file: File) -> int | None:
    """Return the length of an upload in bytes; None while it is not known."""
    return None if upload_of(file).length_deferred else file.length


def require_allowed(max_file_bytes: int | None, length: int) -> None:
    """Raise PayloadTooLarge if no file may have so many bytes."""
    most = LARGEST_BYTES if max_file_bytes is None else min(max_file_bytes, LARGEST_BYTES)
    if length > most:
        raise PayloadTooLarge(f"A file may have at most {most} bytes.")


def grant_of(file: File) -> ContentGrant:
    """Return the right to write to the content of an upload that is held."""
    assert file.content_id is not None, "whoever takes an upload gives it a content"  # noqa: S101
    return ContentGrant(content_id=file.content_id, fence=file.fence)


def upload_of(file: File) -> Upload:
    """Return the origin of a file that is known to be an upload."""
    assert file.upload is not None, "the doors take only uploads"  # noqa: S101
    return file.upload

"""The meaning of an upload's state for its client."""

from gridhaul.transfer.errors import GridhaulError, StateConflict, UploadDigestMismatch, UploadGone
from gridhaul.transfer.model import File
from gridhaul.transfer.states import FileState

RECEIVED = frozenset({FileState.STORING, FileState.REGISTERED, FileState.PAUSED, FileState.STORED})


def has_all_bytes(file: File) -> bool:
    """Return whether all bytes of the upload were acknowledged, and none of them was given up."""
    return file.state in RECEIVED


def refusal(file: File) -> GridhaulError:
    """Return the error for a request that would continue an upload which takes no more bytes."""
    if file.state is FileState.EXPIRED:
        return UploadGone("The upload expired, because nobody continued it in time; upload the file again.")
    if file.state in (FileState.CANCELLED, FileState.DELETING, FileState.DELETED):
        return UploadGone(f"The upload is {file.state}; upload the file again.")
    if file.error is not None and file.error.code == UploadDigestMismatch.code:
        return UploadDigestMismatch(file.error.detail)
    if file.state is FileState.FAILED and file.error is not None:
        return StateConflict(f"The upload has failed: {file.error.detail}")
    return StateConflict(f"The upload is {file.state}: it takes no more bytes.")

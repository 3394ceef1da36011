"""The advice about a file in its state: the end of an error's detail."""

from collections.abc import Mapping

from gridhaul.transfer.model import File
from gridhaul.transfer.states import Action, FileState

ADVICE: Mapping[FileState, str] = {
    FileState.RECEIVING: "its bytes still arrive; send the rest, or cancel it.",
    FileState.REGISTERED: "it changed just now; try again.",
    FileState.STORING: "it changed just now; try again.",
    FileState.PAUSED: "resume continues to store it.",
    FileState.STORED: "its storing is finished; its deliveries have ids of their own.",
    FileState.FAILED: "storing has stopped; retry stores it again.",
    FileState.CANCELLED: "storing has stopped; retry stores it again.",
    FileState.EXPIRED: "nobody continued it in time, and its bytes are deleted; upload it again.",
    FileState.DELETING: "its bytes are being deleted; register or upload the file again.",
    FileState.DELETED: "its bytes are deleted; register or upload the file again.",
}
WITHOUT_RETRY = (
    "the upload was cancelled and cannot be continued; upload the file again. Its bytes count against the quota until "
    "the file is deleted."
)


def advice_on(file: File) -> str:
    """Return what the file's owner can do now. It has no capital letter, because it follows a colon."""
    if file.state is FileState.CANCELLED and file.state not in file.origin.moves[Action.RETRY].from_states:
        return WITHOUT_RETRY
    return ADVICE[file.state]

"""The errors of an upload that are no answers of the api."""

from gridhaul.transfer import errors


class UploadFailed(Exception):
    """The upload of one file has failed. `code` is stable; the message says what happened and what to do."""

    code = "upload_failed"


class SourceChanged(UploadFailed):
    """The file is no longer what it was when its upload began."""

    code = errors.SourceChanged.code


class NotRegular(UploadFailed):
    """Something else than a regular file has the path."""

    code = errors.NotARegularFile.code


class HeldElsewhere(UploadFailed):
    """Another client sends the same upload now."""

    code = errors.StaleFence.code


class AlreadyRunning(UploadFailed):
    """Another command of this machine sends the same file now."""

    code = "upload_running"


class NoteNotKept(UploadFailed):
    """This machine cannot keep the note by which a later command would go on."""


class Stopped(UploadFailed):
    """Nobody wants the upload to go on now; it can go on later."""

    code = "stopped"

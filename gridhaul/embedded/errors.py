"""Errors that keep the embedded system from running. Each message says what to do."""


class EmbeddedError(Exception):
    """The base class of the errors in this module."""

    exit_code = 1


class UsageProblem(EmbeddedError):
    """An option or an argument cannot be used."""

    exit_code = 2


class BinaryMissing(EmbeddedError):
    """A server is not installed, or cannot run here."""


class DirectoryInUse(EmbeddedError):
    """Another system runs on the data directory."""


class PortTaken(EmbeddedError):
    """The requested port cannot be used, mostly because another program listens on it."""


class StartFailed(EmbeddedError):
    """A program stopped while the system was starting."""


class NotReady(EmbeddedError):
    """The system did not become ready in time."""


class NotRunning(EmbeddedError):
    """The program, or the whole system, does not run at the moment."""

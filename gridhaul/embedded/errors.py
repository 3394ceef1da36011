"""What keeps the embedded default from running. The message says what to do."""


class EmbeddedError(Exception):
    """The root of all of them."""

    exit_code = 1


class UsageProblem(EmbeddedError):
    """What was asked for makes no sense."""

    exit_code = 2


class BinaryMissing(EmbeddedError):
    """A server is not installed, or cannot run here."""


class DirectoryInUse(EmbeddedError):
    """Another system runs on the data directory."""


class PortTaken(EmbeddedError):
    """Something else listens on the port that was asked for."""


class StartFailed(EmbeddedError):
    """A program ended while the system was starting."""


class NotReady(EmbeddedError):
    """The system did not become ready in time."""


class NotRunning(EmbeddedError):
    """The program, or the whole system, does not run at the moment."""

"""Errors that stop the benchmark. Each message says what to do."""


class BenchError(Exception):
    """The base class of the errors in this module."""


class UsageProblem(BenchError):
    """An option cannot be used."""


class NoSpace(BenchError):
    """The disk has too little room for everything that the cases store."""


class TransferFailed(BenchError):
    """A request or a transfer failed, or a transfer did not finish in time."""

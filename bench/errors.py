"""What keeps the benchmark from going on. The message says what to do."""


class BenchError(Exception):
    """The root of all of them."""


class UsageProblem(BenchError):
    """What was asked for makes no sense."""


class NoSpace(BenchError):
    """The disk has too little room for what would be stored."""


class TransferFailed(BenchError):
    """Something of ours ended in another state than it should have, or did not end in time."""

"""`Leaving` for parts that several threads send at once, and that may be sent again."""

from threading import Lock

from gridhaul.transfer.ports.targets import Leaving


class OneAtATime:
    """`Leaving` for several threads. Once it has raised an exception, it raises it for all of them."""

    def __init__(self, leaving: Leaving) -> None:
        self._leaving = leaving
        self._lock = Lock()
        self.failure: Exception | None = None

    def __call__(self, count: int) -> None:
        with self._lock:
            if self.failure is not None:
                raise self.failure
            try:
                self._leaving(count)
            except Exception as error:
                self.failure = error
                raise

    def take_failure(self) -> Exception | None:
        """Return the exception without the frames of the threads, and forget it: they hold blocks, and this object."""
        failure, self.failure = self.failure, None
        return None if failure is None else failure.with_traceback(None)


class OncePerByte:
    """`Leaving` for one part, which may be sent more than once.

    It reports 0 for bytes that have already left in an earlier try, so that the reported lengths add up to the part's
    length.
    """

    def __init__(self, leaving: Leaving) -> None:
        self._leaving = leaving
        self._position = 0  # bytes that have left in this try
        self._told = 0  # bytes that have left in any try

    def begin_again(self) -> None:
        """Note that the next bytes are the first ones of the part."""
        self._position = 0

    def __call__(self, count: int) -> None:
        self._position += count
        new = max(0, self._position - self._told)
        self._leaving(new)
        self._told += new

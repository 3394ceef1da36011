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


class OncePerByte:
    """`Leaving` for one part: it tells of bytes that leave again as of 0 bytes, so that the lengths add up."""

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

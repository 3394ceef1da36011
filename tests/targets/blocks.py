"""Blocks of bytes that tests give to targets, and the call before they leave."""

from collections.abc import Iterator
from threading import Event

from gridhaul.process.stages import StagesStopped

MIB = 1 << 20


def untold(_: int) -> None:
    """Allow all bytes to leave."""


class SomeBlocks:
    """`transfer.ports.targets.RepeatableBlocks` with the data in blocks of 1 MiB.

    After them, the failure is raised, if there is one.
    """

    def __init__(self, data: bytes, *, failure: BaseException | None = None) -> None:
        self._data = data
        self._failure = failure

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), MIB):
            yield self._data[start : start + MIB]
        if self._failure is not None:
            raise self._failure

    def again(self, start: int, length: int) -> Iterator[bytes]:
        yield self._data[start : start + length]

    def stop(self) -> None:
        """Do nothing: no thread ever waits for one of these blocks."""


class StalledBlocks(SomeBlocks):
    """Blocks after whose data the thread waits for `stop`."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.begun, self.stopped = Event(), Event()

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        self.begun.set()
        self.stopped.wait()
        raise StagesStopped

    def stop(self) -> None:
        self.stopped.set()

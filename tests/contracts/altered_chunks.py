"""Chunks of a content that a test alters before a target takes them."""

from collections.abc import Callable, Iterator
from itertools import chain
from threading import Event

from gridhaul.transfer.ports.contents import Chunks

Alter = Callable[[Iterator[bytes]], Iterator[bytes]]


class AlteredChunks:
    """`transfer.ports.contents.Chunks` that passes the chunks of an inner one through the generator `alter`."""

    def __init__(self, chunks: Chunks, alter: Alter) -> None:
        self._inner = chunks
        self._chunks = alter(iter(chunks))
        self.is_stopped = Event()

    def begin(self) -> None:
        for first in self._chunks:
            self._chunks = chain((first,), self._chunks)
            return

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def stop(self) -> None:
        self.is_stopped.set()
        self._inner.stop()

    def close(self) -> None:
        self.stop()
        self._inner.close()


class StuckChunks(AlteredChunks):
    """Chunks of which only the first one comes until they are stopped."""

    def __init__(self, chunks: Chunks) -> None:
        super().__init__(chunks, self._only_first)

    def _only_first(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)
        self.is_stopped.wait()
        yield from chunks

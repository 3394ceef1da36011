"""The stands of one lane: one for all rows without special settings, and one at a time for rows with such settings."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gridhaul.embedded.errors import NotRunning
from tests.faults.catalogue import Row
from tests.faults.stand import Stand, standing


@dataclass(frozen=True, kw_only=True)
class _Running:
    row: Row  # the row for which the stand was started
    life: Iterator[Stand]
    stand: Stand

    def suits(self, row: Row) -> bool:
        """Return whether the row can use this stand. A stand with a small disk is used once: its disk was filled."""
        return self.row.settings == row.settings and row.disk_bytes is self.row.disk_bytes is None


class Closed(BaseException):
    """The run was interrupted: no row begins any more, and a row that runs loses its system."""


class Stands:
    """Starts the stand that a row needs, and keeps the stand for later rows with the same settings."""

    def __init__(self, top: Path, *, lane: int) -> None:
        self._top = top
        self._lane = lane
        self._made = 0
        self._running: list[_Running] = []
        self._refuses = False

    @property
    def refuses(self) -> bool:
        return self._refuses

    def refuse(self) -> None:
        """Stop the api of every stand, so that a row that runs fails soon, and start no stand any more."""
        self._refuses = True
        for running in list(self._running):
            with suppress(NotRunning):
                running.stand.system.stop_program("api")

    def close(self) -> None:
        """Stop all stands. Call this in the thread that started them."""
        for running in list(self._running):
            self._close(running)

    def for_row(self, row: Row) -> Stand:
        """Return a stand that suits the row, and stop stands with other special settings. Raises NotAllowed."""
        if self._refuses:
            raise Closed
        for running in list(self._running):
            if running.suits(row) and running.stand.system.alive:
                return running.stand
            if running.suits(row) or running.row.settings:
                self._close(running)
        return self._start(row)

    def give_up(self, stand: Stand) -> None:
        """Stop the stand, so that no other row gets it."""
        for running in list(self._running):
            if running.stand is stand:
                self._close(running)

    def _start(self, row: Row) -> Stand:
        self._made += 1
        directory = self._top / f"stand-{self._lane}-{self._made}"
        directory.mkdir()
        life = iter(_life(directory, row))
        running = _Running(row=row, life=life, stand=next(life))
        self._running.append(running)
        return running.stand

    def _close(self, running: _Running) -> None:
        self._running.remove(running)
        next(running.life, None)


def _life(directory: Path, row: Row) -> Iterator[Stand]:
    with standing(directory, row.settings, disk_bytes=row.disk_bytes) as stand:
        yield stand

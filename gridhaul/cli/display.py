"""Shows a running transfer on stderr: as bars on a terminal, as lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import typer
from rich.console import Console

from gridhaul.cli import phases, text
from gridhaul.cli.bars import drawn_bars
from gridhaul.client import Transfer

LINE_SECONDS = 5.0


class Speaker(Protocol):
    def say(self, line: str) -> None:
        """Print a line that stays after the display has ended."""


class Display(Speaker, Protocol):
    def title(self, line: str) -> None:
        """Show which transfer this is."""

    def show(self, transfer: Transfer) -> None:
        """Show where the transfer is now."""

    def note(self, line: str) -> None:
        """Show the reason to wait, until the next `show`."""


class Lines:
    """A display for logs: a line when the state or the reason to wait changes, else every 5 s if bytes have moved."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._topic: tuple[str | None, ...] = ()
        self._progress = ""
        self._last_line = ""
        self._last_time = 0.0

    def title(self, line: str) -> None:
        self.say(line)

    def show(self, transfer: Transfer) -> None:
        topic = (_phase(transfer), phases.reason_code(transfer), transfer.current["next_attempt_at"])
        progress = _progress(transfer)
        due = self._clock() - self._last_time >= LINE_SECONDS and progress != self._progress
        if topic != self._topic or due:
            self._topic, self._progress = topic, progress
            self.say(_line(transfer))

    def note(self, line: str) -> None:
        if line != self._last_line:
            self.say(line)

    def say(self, line: str) -> None:
        self._last_line, self._last_time = line, self._clock()
        typer.echo(text.safe(line), err=True)


@contextmanager
def display() -> Iterator[Display]:
    """Yield the display that fits stderr."""
    console = Console(stderr=True)
    if console.file.isatty() and not console.is_dumb_terminal:
        with drawn_bars(console) as bars:
            yield bars
    else:
        yield Lines()


def _phase(transfer: Transfer) -> str:
    if delivery := transfer.delivery:
        return "READING BACK" if phases.reading_back(delivery) else phases.delivering(delivery)
    return phases.storing(transfer.file)


def _progress(transfer: Transfer) -> str:
    file, delivery = transfer.file, transfer.delivery
    if delivery and phases.reading_back(delivery):
        return text.progress(delivery["checked_bytes"], delivery["length"], None)
    if delivery:
        return text.progress(phases.sent_bytes(delivery), delivery["length"], delivery["rate"])
    return text.progress(phases.stored_bytes(file), file["length"], file["rate"])


def _line(transfer: Transfer) -> str:
    why = [phases.reason(transfer), phases.next_attempt(transfer)]
    return "; ".join([f"{_phase(transfer)} {_progress(transfer)}", *filter(None, why)])

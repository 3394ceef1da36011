"""Shows a running transfer on stderr: as bars on a terminal, as lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from gridhaul.cli import phases, text
from gridhaul.cli.bars import Bars
from gridhaul.cli.said_lines import SaidLines
from gridhaul.cli.terminal import drawn, stderr_terminal
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


class Lines(SaidLines):
    """A display for logs: a line when the state or the reason to wait changes, else every 5 s if bytes have moved."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._topic: tuple[str | None, ...] = ()
        self._progress = ""

    def title(self, line: str) -> None:
        self.say(line)

    def show(self, transfer: Transfer) -> None:
        topic = (_phase(transfer), phases.reason_code(transfer), transfer.current["next_attempt_at"])
        progress = _progress(transfer)
        due = self._is_due(LINE_SECONDS) and progress != self._progress
        if topic != self._topic or due:
            self._topic, self._progress = topic, progress
            self.say(_line(transfer))


@contextmanager
def display() -> Iterator[Display]:
    """Yield the display that fits stderr. The bars stay after a normal end, and vanish after an exception."""
    console = stderr_terminal()
    if console is None:
        yield Lines()
        return
    with drawn(Bars(console), console) as bars:
        yield bars


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

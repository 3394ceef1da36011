"""Shows a running transfer on stderr: as bars on a terminal, as lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from gridhaul.cli import text
from gridhaul.client import Transfer
from gridhaul.client.records import DeliveryRecord, FileRecord

LINE_SECONDS = 5.0


class Display(Protocol):
    def show(self, transfer: Transfer) -> None:
        """Show where the transfer is now."""

    def note(self, line: str) -> None:
        """Show the reason to wait, until the next `show`."""


class Lines:
    """A display for logs: a line when the state or the reason to wait changes, else every 5 s if bytes have moved."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._topic = ("", "")
        self._progress = ""
        self._last_line = ""
        self._last_time = 0.0

    def show(self, transfer: Transfer) -> None:
        why = text.obstacle_code(transfer.current["waiting"]) or reason(transfer)
        topic, progress = (_phase(transfer), why), _progress(transfer)
        due = self._clock() - self._last_time >= LINE_SECONDS and progress != self._progress
        if topic != self._topic or due:
            self._topic, self._progress = topic, progress
            self._print(_line(transfer))

    def note(self, line: str) -> None:
        if line != self._last_line:
            self._print(line)

    def _print(self, line: str) -> None:
        self._last_line, self._last_time = line, self._clock()
        typer.echo(text.safe(line), err=True)


class Bars(Progress):
    """A display for terminals: a bar for storing, a bar for delivering, and below them the reason to wait, if any."""

    def __init__(self, console: Console) -> None:
        columns = (_plain("description"), BarColumn(None), _plain("fields[detail]"))
        self._note = Text("")  # Progress.__init__ already calls get_renderables
        super().__init__(*columns, console=console, refresh_per_second=5, expand=True)
        self._storing = self.add_task("storing", visible=False, detail="")
        self._delivering = self.add_task("delivering", visible=False, detail="")

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self._note:
            yield self._note

    def show(self, transfer: Transfer) -> None:
        file, delivery = transfer.file, transfer.delivery
        self._move(self._storing, _storing(file), _stored(file), file["length"], file["rate"])
        if delivery:
            sent = delivery["length"] if delivery["state"] == "DELIVERED" else delivery["sent_bytes"]
            self._move(self._delivering, _delivering(delivery), sent, delivery["length"], delivery["rate"])
        self.note(reason(transfer))

    def note(self, line: str) -> None:
        self._note = Text(text.safe(line), style="yellow", no_wrap=True, overflow="ellipsis")

    def _move(self, task: TaskID, state: str, done: int, length: int, rate: float | None) -> None:
        whole = max(length, 1)  # rich shows 0 of 0 as 0 %: an empty file is shown as 1 of 1
        detail = f"{state.lower()} {text.progress(done, length, rate)}"
        completed = whole if done == length else done
        self.update(task, total=whole, completed=completed, detail=text.safe(detail), visible=True)


@contextmanager
def display() -> Iterator[Display]:
    """Yield the display that fits stderr."""
    console = Console(stderr=True)
    if console.file.isatty() and not console.is_dumb_terminal:
        with Bars(console) as bars:
            yield bars
    else:
        yield Lines()


def reason(transfer: Transfer) -> str:
    """Return why the transfer waits, from its current record; empty if it does not wait or is over."""
    if transfer.current["state"] == "PAUSED":
        return f"waiting: the transfer is paused; to go on: gridhaul resume {_id(transfer)}"
    if waiting := transfer.current["waiting"]:
        return f"waiting: {text.clause(waiting['detail'])}"
    error = transfer.current["error"]
    return f"waiting: {error['code']}: {error['detail']}" if error and not transfer.over else ""


def _id(transfer: Transfer) -> str:
    return transfer.delivery["delivery_id"] if transfer.delivery else transfer.file["file_id"]


def _storing(file: FileRecord) -> str:
    """Return the file's state, or CHECKING while a source that was touched is read once more."""
    return "CHECKING" if file["state"] == "STORING" and file["checked_bytes"] else file["state"]


def _stored(file: FileRecord) -> int:
    if file["state"] == "STORED":
        return file["length"]
    return file["checked_bytes"] if _storing(file) == "CHECKING" else file["stored_bytes"]


def _phase(transfer: Transfer) -> str:
    return transfer.delivery["state"] if transfer.delivery else _storing(transfer.file)


def _delivering(delivery: DeliveryRecord) -> str:
    """Return the delivery's state, or `checking` when all bytes are sent and the target's object is being checked."""
    all_sent = delivery["state"] == "STREAMING" and delivery["sent_bytes"] == delivery["length"]
    return "checking" if all_sent else delivery["state"]


def _progress(transfer: Transfer) -> str:
    file, delivery = transfer.file, transfer.delivery
    if delivery:
        return text.progress(delivery["sent_bytes"], delivery["length"], delivery["rate"])
    return text.progress(_stored(file), file["length"], file["rate"])


def _line(transfer: Transfer) -> str:
    why = reason(transfer)
    return f"{_phase(transfer)} {_progress(transfer)}" + (f"; {why}" if why else "")


def _plain(field: str) -> TextColumn:
    return TextColumn(f"{{task.{field}}}", markup=False)

"""Bars of a running transfer on a terminal: one for storing, one for delivering, one for reading back."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from gridhaul.cli import phases, text
from gridhaul.cli.terminal import MARGIN_COLUMNS, FittedLine, say
from gridhaul.client import Transfer
from gridhaul.client.records import DeliveryRecord, FileRecord

WORD_COLUMNS = len("reading back")
BAR_COLUMNS = 4  # the shortest bar; a detail that leaves less room is replaced by a shorter one
SPEED_SECONDS = 10.0
WORDS = {"STREAMING": "delivering"}
PARTS = ("━", "─")  # what is done, and what is not; both can be told apart without colours
ASCII_PARTS = ("=", "-")


class Speed:
    """Bytes a second, measured from look to look over the last 10 s."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def after(self, done_bytes: int, now: float) -> float | None:
        """Return the speed after a look that found `done_bytes`; None while nothing moves, and in the first second."""
        looks = self._looks
        if looks and (done_bytes < looks[-1][1] or (len(looks) == 1 and done_bytes == looks[0][1])):
            looks.clear()  # an attempt begins again, or no byte has moved yet
        looks.append((now, done_bytes))
        while now - looks[0][0] > SPEED_SECONDS and len(looks) > 2:
            looks.popleft()
        since, before = looks[0]
        return (done_bytes - before) / (now - since) if now - since >= 1.0 and done_bytes > before else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """A line that is exactly as wide as the terminal allows. `rate` is in bytes a second."""

    word: str
    done_bytes: int
    length_bytes: int | None  # None: nobody knows it yet
    rate: float | None
    over: bool  # True: nothing is left to do, also for an empty file

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width - MARGIN_COLUMNS
        detail, bar_columns = self._fitting(width - WORD_COLUMNS - 2)
        full, rest = ASCII_PARTS if options.ascii_only else PARTS
        filled = bar_columns if self.over else int(bar_columns * self._part)
        line = Text(f"{self.word:<{WORD_COLUMNS}} ")
        line.append(full * filled, style="green" if self.over else "cyan")
        line.append(rest * (bar_columns - filled), style="bright_black").append(f" {detail}")
        line.truncate(width)
        yield line

    def _fitting(self, columns: int) -> tuple[str, int]:
        """Return the longest detail that leaves room for a bar, and the columns of the bar."""
        details = self._details()
        detail = next((one for one in details if columns - len(one) >= BAR_COLUMNS), details[-1])
        return detail, columns - len(detail)

    def _details(self) -> list[str]:
        """Return the details from the longest to the shortest. The length of each stays the same while bytes move."""
        done = f"{text.size(self.done_bytes):>10}"
        of_all = f"{done} of {text.size_or_unknown(self.length_bytes)}"
        speed = f"{text.size(self.rate)}/s" if self.rate and self._left_bytes != 0 else ""
        percent = text.UNKNOWN if self.length_bytes is None else f"{int(100 * self._part)}%"
        return [
            f"{of_all} {speed:>12} {self._time_left():>17}",
            f"{of_all} {speed:>12}",
            of_all,
            f"{percent:>4} {done}",
        ]

    @property
    def _part(self) -> Fraction:
        """The part of all bytes that is done, exactly; 0 if nobody knows how many there are."""
        return Fraction(self.done_bytes, self.length_bytes) if self.length_bytes else Fraction()

    @property
    def _left_bytes(self) -> int | None:
        return None if self.length_bytes is None else max(self.length_bytes - self.done_bytes, 0)

    def _time_left(self) -> str:
        if not self.rate or not self._left_bytes:
            return ""
        left = f"{text.duration(self._left_bytes / self.rate)} left"
        return left if len(left) <= len("999 h 59 min left") else ""


class Bars:
    """A display for terminals: a title, the bars, and below them what the transfer waits for, if anything."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._speeds = (Speed(), Speed(), Speed())
        self._title: list[FittedLine] = []
        self._bars: list[Bar] = []
        self._note: list[FittedLine] = []

    def __rich__(self) -> Group:
        return Group(*self._title, *self._bars, *self._note)

    def title(self, line: str) -> None:
        self._title = [FittedLine(line=line)]

    def show(self, transfer: Transfer) -> None:
        storing, delivering, reading_back = self._speeds
        bars = [self._storing(transfer.file, storing)]
        if delivery := transfer.delivery:
            bars.append(self._delivering(delivery, delivering))
            if delivery["checked_bytes"]:
                bars.append(self._reading_back(delivery, reading_back))
        self._bars = bars
        why, until = phases.reason(transfer), phases.next_attempt(transfer)
        ending = f"; {until}" if until else ""
        self._note = [FittedLine(line=why, ending=ending, style="yellow")] if why else []

    def say(self, line: str) -> None:
        say(self._console, line)

    def note(self, line: str) -> None:
        self._note = [FittedLine(line=line, style="yellow")]

    def _storing(self, file: FileRecord, speed: Speed) -> Bar:
        done = phases.stored_bytes(file)
        return self._bar(phases.storing(file), done, file["length"], speed, over=file["state"] == "STORED")

    def _delivering(self, delivery: DeliveryRecord, speed: Speed) -> Bar:
        word = "SENT" if phases.reading_back(delivery) else phases.delivering(delivery)
        over = delivery["state"] == "DELIVERED" or phases.reading_back(delivery)
        return self._bar(word, phases.sent_bytes(delivery), delivery["length"], speed, over=over)

    def _reading_back(self, delivery: DeliveryRecord, speed: Speed) -> Bar:
        word = "READING BACK" if phases.reading_back(delivery) else "READ BACK"
        done, length = delivery["checked_bytes"], delivery["length"]
        return self._bar(word, done, length, speed, over=done >= length)

    def _bar(self, word: str, done: int, length: int | None, speed: Speed, *, over: bool) -> Bar:
        rate = speed.after(done, self._clock())
        return Bar(word=WORDS.get(word, word.lower()), done_bytes=done, length_bytes=length, rate=rate, over=over)

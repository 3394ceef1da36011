"""Shows a running check on stderr: as a bar on a terminal, as lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import typer
from rich.console import Group

from gridhaul.cli.bars import WORD_COLUMNS, Bar
from gridhaul.cli.terminal import FittedLine, drawn, stderr_terminal
from gridhaul.cli.text import LONGEST_ESTIMATE_SECONDS, clause, obstacle_code, safe, size
from gridhaul.client.records import CheckRecord
from gridhaul.transfer.checks import Stage

MEASURED_SECONDS = 2.0  # A rate over less time says little.


class CheckDisplay(Protocol):
    def title(self, line: str) -> None:
        """Show which check this is."""

    def show(self, check: CheckRecord) -> None:
        """Show where the check is now."""


class CheckLines:
    """A display for logs: a line when the stage or the reason to wait changes."""

    def __init__(self) -> None:
        self._topic: tuple[str | None, str | None] | None = None

    def title(self, line: str) -> None:
        typer.echo(safe(line), err=True)

    def show(self, check: CheckRecord) -> None:
        topic = (check["stage"], obstacle_code(check["waiting"]))
        if topic != self._topic:
            self._topic = topic
            line = "; ".join(filter(None, (f"{stage(check)} {done(check)}".rstrip(), _note(check))))
            typer.echo(safe(line), err=True)


class CheckBar:
    """A display for terminals: the check's id, the stage with a bar while chunks are compared, and what was found."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = ComparingRate()
        self._title = ""
        self._check: CheckRecord | None = None

    def title(self, line: str) -> None:
        self._title = line

    def show(self, check: CheckRecord) -> None:
        self._check = check
        self._rate.look(check, self._clock())

    def __rich__(self) -> Group:
        check = self._check
        if check is None:
            return Group()
        note = _note(check)
        return Group(FittedLine(line=self._title), self._stage_line(check), *([FittedLine(line=note)] if note else []))

    def _stage_line(self, check: CheckRecord) -> Bar | FittedLine:
        if check["stage"] != Stage.CONTENTS:
            return FittedLine(line=f"{stage(check):<{WORD_COLUMNS}} {done(check)}")
        compared, total = check["checked_bytes"], check["total_bytes"] or 0
        length, rate = max(compared, total), self._rate.of(check)
        over = compared >= length > 0
        return Bar(word=stage(check), done_bytes=compared, length_bytes=length, rate=rate, over=over)


class ComparingRate:
    """The rate at which a check compares chunks, over all the time that this command has watched it do so."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self._rate: float | None = None

    def look(self, check: CheckRecord, now: float) -> None:
        if check["stage"] != Stage.CONTENTS:
            return
        since, before = self._began = self._began or (now, check["checked_bytes"])
        if now - since >= MEASURED_SECONDS:
            self._rate = (check["checked_bytes"] - before) / (now - since)

    def of(self, check: CheckRecord) -> float | None:
        """Return bytes a second; None if it is not known, or so low that an estimate would mean nothing."""
        left = (check["total_bytes"] or 0) - check["checked_bytes"]
        return self._rate if self._rate and left / self._rate <= LONGEST_ESTIMATE_SECONDS else None


@contextmanager
def check_display() -> Iterator[CheckDisplay]:
    """Yield the display that fits stderr. The bar vanishes at the end."""
    console = stderr_terminal()
    if console is None:
        yield CheckLines()
        return
    with drawn(CheckBar(), console, transient=True) as bar:
        yield bar


def stage(check: CheckRecord) -> str:
    """Return the stage in words, or the state of a check that is in no stage."""
    return (check["stage"] or check["state"].lower()).replace("_", " ")


def done(check: CheckRecord) -> str:
    """Return how far the check is in its stage; empty where a number would mean nothing."""
    if check["stage"] == Stage.CONTENTS:
        return f"{size(check['checked_bytes'])} of {size(check['total_bytes'] or 0)}"
    if check["stage"] != Stage.OBJECTS:
        return ""
    looked_at = check["checked_objects"] + sum(check["skipped_objects"].values())
    return f"{looked_at}, {size(check['target_bytes'])} read back" if check["target_bytes"] else str(looked_at)


def _note(check: CheckRecord) -> str:
    found = f"{check['found']} found" if check["found"] else ""
    waiting = f"waiting: {clause(check['waiting']['detail'])}" if check["waiting"] else ""
    return "; ".join(filter(None, (found, waiting)))

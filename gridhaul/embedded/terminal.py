"""Shows the start and the stop of a system at a terminal, and handles the terminal's signals."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Never

from rich.console import Console

from gridhaul.embedded.configuration import Configuration
from gridhaul.embedded.system import System

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM was received. `exit_code` is 128 plus the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def running(configuration: Configuration) -> Iterator[System]:
    """Yield a running system; show its start and its stop on stderr."""
    console = Console(stderr=True)
    with ExitStack() as stack:
        with console.status("starting") as status:
            system = stack.enter_context(System(configuration, report=status.update))
        yield system
        with console.status("stopping"):
            stack.close()


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted at the first SIGINT or SIGTERM; ignore later ones, so that everything can be stopped."""
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> Never:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)

"""What the person at the terminal sees, and the signals they send."""

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
    """Someone wants us to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def running(configuration: Configuration) -> Iterator[System]:
    """The system, with its start and its stop shown on stderr."""
    console = Console(stderr=True)
    with ExitStack() as stack:
        with console.status("starting") as status:
            system = stack.enter_context(System(configuration, report=status.update))
        yield system
        with console.status("stopping"):
            stack.close()


@contextmanager
def interruptible() -> Iterator[None]:
    """The first SIGINT or SIGTERM raises Interrupted; what follows while everything is stopped is ignored."""
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

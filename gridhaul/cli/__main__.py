"""Starts the command, as `python -m gridhaul.cli` or as the script `gridhaul`."""

import gc
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command. Ctrl-C ends it in one line, also while modules are imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have it ignored in the background
        signal.signal(signal.SIGINT, _interrupt_once)
    try:
        from gridhaul.cli import app  # not at the top: a Ctrl-C during this import must be caught

        gc.freeze()  # the imported objects stay to the end: visiting each of them again at the exit costs 70 ms
        app.main()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(128 + signal.SIGINT)


def _interrupt_once(_number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, and ignore every further Ctrl-C: it would interrupt the end that the first one began."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()

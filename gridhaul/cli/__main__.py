"""Starts the command, as `python -m gridhaul.cli` or as the script `gridhaul`."""

import gc
import os
import signal
import sys
import time
from types import FrameType

STDOUT = 1
PATIENCE_SECONDS = 2.0
SHOW_CURSOR = b"\x1b[?25h"  # DECTCEM of ECMA-48 terminals
_interrupted_at: float | None = None


def main() -> None:
    """Run the command. Ctrl-C ends it in one line, also while modules are imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have it ignored in the background
        signal.signal(signal.SIGINT, _interrupt_once)
    try:
        _run()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(128 + signal.SIGINT)
    except OSError as error:  # the errors of requests and of settings have become lines before
        # Python writes the text that is still buffered when it exits, and would report the error once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        sys.stderr.write(f"gridhaul: the output cannot be written: {error.strerror}\n")
        sys.exit(1)


def _run() -> None:
    from gridhaul.cli import app  # not at the top: a Ctrl-C during this import must be caught

    gc.freeze()  # the imported objects stay to the end: visiting each of them again at the exit costs 70 ms
    try:
        app.main()
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


def _interrupt_once(number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt at the first Ctrl-C. The end that it begins is not interrupted, unless it takes long.

    Further signals are passed over for a while, because people and shells send several at once.
    """
    global _interrupted_at
    now = time.monotonic()
    if _interrupted_at is None:
        _interrupted_at = now
        raise KeyboardInterrupt
    if now - _interrupted_at > PATIENCE_SECONDS:
        if sys.stderr is not None and sys.stderr.isatty():
            os.write(sys.stderr.fileno(), SHOW_CURSOR)  # a bar has hidden it
        os._exit(128 + number)


if __name__ == "__main__":
    main()

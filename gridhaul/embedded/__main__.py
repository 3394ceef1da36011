"""`python -m gridhaul.embedded up|demo`: run the system on this machine, without root, Docker or configuration."""

import os
import signal
import sys
from types import FrameType
from typing import Never


def main() -> None:
    """Run the command. A signal ends it in one line, also while modules are imported."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_at_once)
    from gridhaul.embedded.commands import app  # the import takes long enough for a Ctrl-C

    app(prog_name="python -m gridhaul.embedded")


def _end_at_once(number: int, _frame: FrameType | None) -> Never:
    """End the process. The commands replace this handler while they have other processes to stop.

    Raising here would print a traceback while a module is imported that runs `exec`, although the exception is caught.
    """
    os.write(sys.stderr.fileno(), b"Interrupted.\n")
    # Ctrl-C is the usual end of `up`, so `make` must not report it as an error.
    os._exit(0 if sys.argv[1:2] == ["up"] else 128 + number)


if __name__ == "__main__":
    main()

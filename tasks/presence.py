"""Whether a worker is there to take messages. The parent process tells its child processes in shared memory."""

import ctypes
import multiprocessing
import time

CONNECTED_SECONDS = 10.0  # Celery's parent tells every 2 s that it is connected to the broker


class Presence:
    """Facts that the parent writes and its children read. They are made before the fork, and need no lock."""

    def __init__(self) -> None:
        self._stop = multiprocessing.RawValue(ctypes.c_bool, False)
        # By the monotonic clock, which all processes of a machine share. A child whose parent dies sees the time age.
        self._connected_at = multiprocessing.RawValue(ctypes.c_double, 0.0)

    def ask_to_stop(self) -> None:
        self._stop.value = True

    def stopping(self) -> bool:
        return bool(self._stop.value)

    def connected(self) -> None:
        """Note that the parent is connected to the broker, or starts and is about to connect."""
        self._connected_at.value = time.monotonic()

    def takes_messages(self) -> bool:
        """Return whether the parent was connected to the broker a moment ago, and was not asked to stop."""
        return not self.stopping() and time.monotonic() - self._connected_at.value < CONNECTED_SECONDS

"""Reports whether a worker takes messages. The parent process writes that into memory that its children share."""

import ctypes
import multiprocessing
import time

# Celery's parent sends the signal `heartbeat_sent` every 2 s while it is connected to the broker, and once more when it
# notices that the connection is lost (`celery.worker.heartbeat.Heart.stop`). So the 10 s begin at that moment.
CONNECTED_SECONDS = 10.0


class Presence:
    """The shared facts whether the parent is connected and whether it was asked to stop. Only the parent writes them.

    The values are made before the children are forked. Each value is written in one step, so no lock is needed.
    """

    def __init__(self) -> None:
        self._stop = multiprocessing.RawValue(ctypes.c_bool, False)
        # A time of the monotonic clock, which all processes of a machine share. If the parent dies, nobody renews the
        # time, so its children stop counting as connected.
        self._connected_at = multiprocessing.RawValue(ctypes.c_double, 0.0)

    def ask_to_stop(self) -> None:
        self._stop.value = True

    def stopping(self) -> bool:
        return bool(self._stop.value)

    def note_connected(self) -> None:
        """Note that the parent is connected to the broker now, or is starting and about to connect."""
        self._connected_at.value = time.monotonic()

    def takes_messages(self) -> bool:
        """Return whether the parent was connected to the broker within CONNECTED_SECONDS and was not asked to stop."""
        return not self.stopping() and time.monotonic() - self._connected_at.value < CONNECTED_SECONDS

"""Decides how long a client waits before it looks at a record again. Pure."""

SHORTEST_SECONDS = 0.05
LONGEST_SECONDS = 1.0
LONGEST_WAITING_SECONDS = 5.0  # while the record waits for its next attempt
GROWTH = 1.5


class Pauses:
    """The pauses between looks: they grow while the state stays, so a long transfer costs one request a second.

    A new state makes the next pause the shortest one: another state often follows at once.
    """

    def __init__(self) -> None:
        self._next = SHORTEST_SECONDS
        self._state: str | None = None

    def after(self, state: str, *, longest_seconds: float = LONGEST_SECONDS) -> float:
        """Return the seconds to wait, at most `longest_seconds`, after a look that found the record in `state`."""
        if state != self._state:
            self._state, self._next = state, SHORTEST_SECONDS
        seconds = min(self._next, longest_seconds)
        self._next *= GROWTH
        return seconds

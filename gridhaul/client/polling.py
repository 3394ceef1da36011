"""Decides how long a client waits before it looks at a record again. Pure."""

SHORTEST_SECONDS = 0.05
LONGEST_SECONDS = 1.0
GROWTH = 1.5


class Pauses:
    """The pauses between looks: they grow while the state stays the same, so that a long transfer costs few requests.

    A new state makes the next pause the shortest one: another state often follows at once.
    """

    def __init__(self, longest_seconds: float) -> None:
        self._longest = longest_seconds
        self._next = SHORTEST_SECONDS
        self._state: str | None = None

    def after(self, state: str) -> float:
        """Return the seconds to wait after a look that found the record in `state`."""
        if state != self._state:
            self._state, self._next = state, SHORTEST_SECONDS
        seconds = min(self._next, self._longest)
        self._next *= GROWTH
        return seconds

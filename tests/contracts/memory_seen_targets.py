"""A memory twin of what was seen of targets."""

import time

from gridhaul.transfer.model import SeenTarget
from gridhaul.transfer.ports.targets import Facts, SeenTargets


class MemorySeenTargets:
    """A twin of `transfer.ports.targets.SeenTargets`."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Facts, float]] = {}

    async def find(self, fingerprint: str) -> SeenTarget | None:
        if fingerprint not in self._kept:
            return None
        facts, at = self._kept[fingerprint]
        return SeenTarget(facts=facts, age_seconds=time.monotonic() - at)

    async def note_first(self, fingerprint: str, name: str, facts: Facts) -> Facts:
        return self._kept.setdefault(fingerprint, (dict(facts), time.monotonic()))[0]

    async def note(self, fingerprint: str, name: str, facts: Facts) -> None:
        self._kept[fingerprint] = dict(facts), time.monotonic()

    async def outdate(self, fingerprint: str) -> None:
        if fingerprint in self._kept:
            self._kept[fingerprint] = self._kept[fingerprint][0], float("-inf")


def _check(seen: MemorySeenTargets) -> None:
    """Let the type checker see that the twin has the methods of its port."""
    _: SeenTargets = seen

"""Parts of a worker for the tests of its journeys."""

from typing import Any

from gridhaul.process.settings import WorkerSettings
from gridhaul.transfer.ports.targets import Target, Targets
from tasks.delivering.known_targets import KnownTargets
from tasks.turns import Turns
from tests.contracts.memory_seen_targets import MemorySeenTargets
from tests.unused import UNUSED


def worker_settings(**values: Any) -> WorkerSettings:
    """Return settings that hold `values` and the defaults, without a look at the environment."""
    return WorkerSettings.model_construct(**values)


def known(targets: Targets) -> KnownTargets:
    """Return the targets for a worker that has seen none of them."""
    return KnownTargets(targets, MemorySeenTargets())


def only(target: Target) -> KnownTargets:
    """Return targets that have the one target under every name."""
    return known(_Only(target))


def alone() -> Turns[Any]:
    """Return the turns of a child that takes messages of no queue, so it never looks whether another account waits."""
    return Turns(UNUSED, queues=frozenset(), journeys={}, stopping=lambda: False)


class _Only:
    """A `transfer.ports.targets.Targets` with one target, which it gives for every name."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def get(self, name: str) -> Target:
        return self._target

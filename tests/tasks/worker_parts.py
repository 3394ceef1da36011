"""Parts of a worker for the tests of its journeys."""

from typing import Any

from gridhaul.process.settings import WorkerSettings
from gridhaul.transfer.model import Hint
from gridhaul.transfer.ports.targets import Target


def worker_settings(**values: Any) -> WorkerSettings:
    """Return settings that hold `values` and the defaults, without a look at the environment."""
    return WorkerSettings.model_construct(**values)


class NotedHints:
    """A `transfer.ports.hints.Hints` that puts each hint into a list."""

    def __init__(self, noted: list[Hint]) -> None:
        self._noted = noted

    def offer(self, hint: Hint) -> None:
        self._noted.append(hint)


class OnlyTarget:
    """A `transfer.ports.targets.Targets` with one target, which it gives for every name."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def get(self, name: str) -> Target:
        return self._target

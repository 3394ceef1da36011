"""Parts of a worker for the tests of its journeys."""

from typing import Any

from gridhaul.process.settings import WorkerSettings
from gridhaul.transfer.ports.targets import Target


def worker_settings(**values: Any) -> WorkerSettings:
    """Return settings that hold `values` and the defaults, without a look at the environment."""
    return WorkerSettings.model_construct(**values)


class OnlyTarget:
    """A `transfer.ports.targets.Targets` with one target, which it gives for every name."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def get(self, name: str) -> Target:
        return self._target

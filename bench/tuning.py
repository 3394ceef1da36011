"""Parses settings for a trial, each NAME=VALUE."""

from collections.abc import Sequence

from bench.errors import UsageProblem
from gridhaul.process.settings import ApiSettings, ChunkServiceSettings, WorkerSettings

KNOWN = frozenset(
    name.upper() for settings in (ApiSettings, ChunkServiceSettings, WorkerSettings) for name in settings.model_fields
)


def settings_of(given: Sequence[str]) -> dict[str, str]:
    """Return the values by name. Raises UsageProblem for text without `=`, and for a name that no process reads."""
    pairs = dict(_pair(one) for one in given)
    if unknown := sorted(pairs.keys() - KNOWN):
        raise UsageProblem(f"There is no setting {', '.join(unknown)}. The README lists the settings.")
    return pairs


def _pair(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals:
        raise UsageProblem(f"{given} is not NAME=VALUE.")
    return name, value

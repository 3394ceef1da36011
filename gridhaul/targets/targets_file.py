"""The targets that an operator configured in `targets.toml`."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gridhaul.outgoing.http_client import make_client
from gridhaul.process.settings import ANSWER_SECONDS, SettingsError
from gridhaul.targets.kinds import KINDS
from gridhaul.targets.section import NAME, NewClient, Section, StagedSection
from gridhaul.transfer.errors import TargetUnknown
from gridhaul.transfer.known_targets import TargetDefinition
from gridhaul.transfer.ports.targets import Target


class ConfiguredTargets:
    """The configured targets. Each is made when it is first asked for. Call `close` at the end."""

    def __init__(self, makers: Mapping[str, Callable[[], Target]]) -> None:
        self._makers = makers
        self._made: dict[str, Target] = {}

    def get(self, name: str) -> Target:
        """Return the target. Raises TargetUnknown."""
        if name not in self._makers:
            # A record keeps this sentence, and its owner may not see the names of the other targets.
            raise TargetUnknown("No target of this name is configured.")
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    async def close(self) -> None:
        """Close the connections of all targets."""
        while self._made:
            _, target = self._made.popitem()
            await target.close()


def load_targets(
    path: Path, *, new_client: NewClient = make_client, answer_seconds: float = ANSWER_SECONDS
) -> ConfiguredTargets:
    """Read the targets file and all credentials that it names; open no connection.

    `new_client` makes the HTTP client of each target that needs one. Other targets may be silent for `answer_seconds`.
    Raises SettingsError, which names the file, the target and the key.
    """
    makers = {}
    for name, section in _read(path).items():
        try:
            makers[name] = section.maker(name, new_client, answer_seconds=answer_seconds)
        except SettingsError as error:
            raise SettingsError(f"{path}: target {name!r}: {error}") from None
    return ConfiguredTargets(makers)


def target_definitions(path: Path) -> tuple[TargetDefinition, ...]:
    """Return the targets in the file, sorted by name, without reading any credential. Raises SettingsError."""
    return tuple(_definition(name, section) for name, section in sorted(_read(path).items()))


def _definition(name: str, section: Section) -> TargetDefinition:
    race = section.allow_overwrite_race if isinstance(section, StagedSection) else None
    kind = next(kind for kind, section_class in KINDS.items() if type(section) is section_class)
    return TargetDefinition(name=name, kind=kind, fingerprint=section.fingerprint(), allow_overwrite_race=race)


def _read(path: Path) -> dict[str, Section]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the targets file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None
    sections = document.pop("targets", {})
    if document:
        raise SettingsError(f"{path}: unknown key {min(document)!r}; a target is a section [targets.NAME]")
    if not isinstance(sections, dict):
        raise SettingsError(f"{path}: 'targets' must hold sections [targets.NAME]")
    return {name: _section(path, name, values) for name, values in sections.items()}


def _section(path: Path, name: str, values: Any) -> Section:
    where = f"{path}: target {name!r}"
    if not NAME.fullmatch(name):
        raise SettingsError(f"{where}: a name is 1 to 64 of a-z, 0-9, '_' and '-', and starts with a letter or digit")
    if not isinstance(values, dict):
        raise SettingsError(f"{where}: must be a section [targets.NAME]")
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise SettingsError(f"{where}: kind: must be one of {', '.join(sorted(KINDS))}")
    try:
        return KINDS[kind].model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"{where}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        key = ".".join(str(part) for part in item["loc"])
        problem = {"missing": "is missing", "extra_forbidden": "unknown key"}.get(item["type"], item["msg"])
        lines.append(": ".join(filter(None, (key, problem.removeprefix("Value error, ")))))
    return "; ".join(lines)

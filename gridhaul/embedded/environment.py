"""The environment variables of every program: a few inherited variables, and the program's settings."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridhaul.embedded.data_directory import DataDirectory
from gridhaul.embedded.leftovers import MARK
from gridhaul.process.settings import PREFIX

_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
_MADE_HERE = (
    "MONGO_URL",
    "REDIS_URL",
    "CHUNK_SERVICE_URL",
    "SERVICE_SECRET",
    "ROOTS",
    "TARGETS_FILE",
    "HEARTBEAT_FILE",
    "URL",
    "TOKEN",
)
_FILE = "_FILE"


def inherited() -> dict[str, str]:
    """Return the few variables that every program inherits; PATH and LANG have defaults."""
    found = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {"PATH": os.defpath, "LANG": "C.UTF-8"} | found


def base(directory: DataDirectory) -> dict[str, str]:
    """Return the variables of every program. The variable MARK tells which system a process belongs to."""
    return inherited() | {MARK: str(directory.path), "PYTHONUNBUFFERED": "1"}


def credentials(targets_file: Path) -> dict[str, str]:
    """Return the variables that are set and that the targets file names as `{ env = "NAME" }`.

    If the file is missing or is not TOML, return none: the worker reports what is wrong with the file.
    """
    try:
        targets = tomllib.loads(targets_file.read_text()).get("targets")
    except (OSError, ValueError):
        return {}
    if not isinstance(targets, dict):
        return {}
    values = [value for target in targets.values() if isinstance(target, dict) for value in target.values()]
    names = {value["env"] for value in values if isinstance(value, dict) and isinstance(value.get("env"), str)}
    return {name: os.environ[name] for name in sorted(names) if name in os.environ}


def settings_from_outside() -> dict[str, str]:
    """Return the `GRIDHAUL_` variables that are set, except those that the system makes itself."""
    made_here = {PREFIX + name for name in _MADE_HERE}
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and name.removesuffix(_FILE) not in made_here and name not in made_here
    }


def overridden(below: Mapping[str, str], above: Mapping[str, str]) -> dict[str, str]:
    """Merge both; `above` wins. `X` in `above` also replaces `X_FILE` in `below`, and `X_FILE` replaces `X`."""
    hidden = {name.removesuffix(_FILE) if name.endswith(_FILE) else name + _FILE for name in above}
    return {name: value for name, value in below.items() if name not in hidden} | dict(above)


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """The settings of api, chunk service and workers. URLs and the service secret are passed in files of mode 600."""

    directory: DataDirectory
    roots: Sequence[Path]
    chunk_service_url: str
    overrides: Mapping[str, str]

    def chunk_service(self) -> dict[str, str]:
        return self._with({})

    def api(self) -> dict[str, str]:
        return self._with(self._transfer())

    def worker(self, name: str) -> dict[str, str]:
        own = {
            "HEARTBEAT_FILE": str(self.directory.heartbeat(name)),
        }
        return self._with(self._transfer() | own) | credentials(self.directory.targets_file)

    def _transfer(self) -> dict[str, str]:
        return {
            "CHUNK_SERVICE_URL": self.chunk_service_url,
            "REDIS_URL_FILE": str(self.directory.secret_file("redis_url")),
            "ROOTS": ":".join(map(str, self.roots)),
            "TARGETS_FILE": str(self.directory.targets_file),
        }

    def _with(self, settings: Mapping[str, str]) -> dict[str, str]:
        common = {
            "MONGO_URL_FILE": str(self.directory.secret_file("mongo_url")),
            "SERVICE_SECRET_FILE": str(self.directory.secret_file("service_secret")),
        }
        ours = {PREFIX + name: value for name, value in (common | dict(settings)).items()}
        return base(self.directory) | overridden(ours, self.overrides)

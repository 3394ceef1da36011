"""Checks the types of the page against the api's own OpenAPI document. `make check` runs it.

`--types` only writes the types, for editors.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from build_page import node_and_npm

HERE = Path(__file__).resolve().parent
TYPES = HERE / "src/shared/api-types.d.ts"
sys.path.append(str(HERE.parent))

from api.app import app  # noqa: E402 - the path is set above


def write_types() -> None:
    """Write what the requests of the api take and answer, as types of TypeScript."""
    with TemporaryDirectory() as scratch:
        document = Path(scratch) / "openapi.json"
        document.write_text(json.dumps(app.openapi()))
        _node("openapi-typescript/bin/cli.js", str(document), "--output", str(TYPES))


def check_types() -> None:
    _node("svelte-check/bin/svelte-check", "--tsconfig", "./tsconfig.json", "--fail-on-warnings")


def _node(script: str, *arguments: str) -> None:
    node, _ = node_and_npm()
    subprocess.run([str(node), str(HERE / "node_modules" / script), *arguments], cwd=HERE, check=True)


if __name__ == "__main__":
    write_types()
    if "--types" not in sys.argv:
        check_types()

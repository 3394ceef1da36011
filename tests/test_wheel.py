"""The wheel of Gridhaul, built as the image builds it."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("api", "chunk_service", "tasks", "gridhaul", "web")
FILES = ("pyproject.toml", "LICENSE")
NOT_COPIED = shutil.ignore_patterns("node_modules", "built*", "__pycache__", "api-types.d.ts")


@pytest.mark.timeout(400)
def test_wheel_holds_the_page_and_nothing_of_its_source(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for part in PARTS:
        shutil.copytree(ROOT / part, source / part, ignore=NOT_COPIED)
    for file in FILES:
        shutil.copy2(ROOT / file, source)
    # npm need not install again what `make web` has installed.
    (source / "web/node_modules").symlink_to(ROOT / "web/node_modules")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"api/page/built/index.html", "api/page/built/index.html.br"} <= set(names)
    assert any(name.startswith("api/page/built/assets/index-") and name.endswith(".js.gz") for name in names)
    assert not [name for name in names if name.startswith("web/") or name.endswith((".svelte", ".ts"))]

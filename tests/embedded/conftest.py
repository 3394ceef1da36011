"""Fixtures: a data directory, and an environment without the Gridhaul settings of the person who runs the tests."""

import os
from pathlib import Path

import pytest

from gridhaul.embedded.data_directory import DataDirectory


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GRIDHAUL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    """Return a data directory whose name has characters that must be quoted."""
    directory = DataDirectory(tmp_path / "da ta 'q\" #1 %x ;ü")
    with directory.lock():
        directory.make()
    return directory

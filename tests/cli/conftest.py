"""Fixtures: a scripted api, and the command with the settings to call it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gridhaul.cli.app import app
from tests.cli.scripted_api import TOKEN, ScriptedApi, scripted_api
from tests.cli.scripted_uploads import FIVE

Run = Callable[..., Result]


@pytest.fixture(scope="package")
def server() -> Iterator[ScriptedApi]:
    with scripted_api() as server:
        yield server


@pytest.fixture
def api(server: ScriptedApi) -> ScriptedApi:
    server.forget()
    return server


@pytest.fixture(autouse=True)
def environment(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GRIDHAUL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GRIDHAUL_URL", api.url)
    monkeypatch.setenv("GRIDHAUL_TOKEN", TOKEN)


@pytest.fixture
def run() -> Run:
    """Return a function that runs the command within this process, and raises its unexpected errors."""

    def run(*args: str, stdin: str | bytes = "") -> Result:
        result = CliRunner().invoke(app, args, input=stdin, prog_name="gridhaul")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory in which `gridhaul put` keeps its notes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "gridhaul" / "uploads"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file of five bytes."""
    path = tmp_path / "five"
    path.write_bytes(FIVE)
    return path

"""The start of the api process."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import create_app
from gridhaul.embedded.network import HOST, free_ports


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set the api's settings; no server listens at the addresses in them."""
    (nobody,) = free_ports(1)
    (tmp_path / "targets.toml").touch()
    for name, value in {
        "MONGO_URL": f"mongodb://{HOST}:{nobody}",
        "REDIS_URL": f"redis://{HOST}:{nobody}/0",
        "CHUNK_SERVICE_URL": f"http://{HOST}:{nobody}",
        "SERVICE_SECRET": "s" * 32,
        "ROOTS": str(tmp_path),
        "TARGETS_FILE": str(tmp_path / "targets.toml"),
    }.items():
        monkeypatch.setenv(f"GRIDHAUL_{name}", value)


@pytest.fixture
def collected() -> Iterator[None]:
    """Unfreeze all objects before and after the test: freezing them is process-wide."""
    gc.unfreeze()
    yield
    gc.unfreeze()


async def test_garbage_collector_passes_over_what_was_there_at_the_start(settings: None, collected: None) -> None:
    app = create_app()
    async with app.router.lifespan_context(app):
        assert gc.get_freeze_count() > 10_000

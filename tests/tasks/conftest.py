"""Fixtures: the targets `web` (plain HTTP) and `disk` (a directory), and a bench that delivers to them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer import retry
from gridhaul.transfer.retry import Limits
from gridhaul.transfer.states import DeliveryState
from tasks.attempt import Attempts, Chores
from tasks.runtime import Runtime
from tests.contracts.memory_registry import MemoryDeliveries, MemoryFiles
from tests.servers.http_store import HttpStore, http_store
from tests.tasks.delivery_bench import Bench, Damaged
from tests.tasks.worker_parts import alone, known
from tests.unused import UNUSED


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every next attempt due at once."""
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.0)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[HttpStore]:
    (tmp_path / "web").mkdir()
    with http_store(tmp_path / "web") as store:
        yield store


@pytest.fixture
async def bench(web: HttpStore, tmp_path: Path, at_once: None) -> AsyncIterator[Bench]:
    (tmp_path / "disk").mkdir()
    configured = tmp_path / "targets.toml"
    configured.write_text(
        f'[targets.web]\nkind = "http"\nurl = "{web.url}"\n'
        f'[targets.disk]\nkind = "directory"\npath = "{tmp_path / "disk"}"\n'
    )
    files, deliveries = MemoryFiles(lease_seconds=60), MemoryDeliveries(lease_seconds=60)
    contents, targets = Damaged(sweep_after_seconds=60), load_targets(configured)
    pace: dict[str, Any] = {"stopping": lambda: False, "renew_seconds": 10, "lease_seconds": 60}
    runtime = Runtime(
        settings=UNUSED,
        holder="worker",
        stopping=lambda: False,
        files=files,
        deliveries=deliveries,
        contents=contents,
        usage=UNUSED,
        chunks=UNUSED,
        targets=known(targets),
        hints=UNUSED,
        file_attempts=UNUSED,
        upload_attempts=UNUSED,
        uploads=UNUSED,
        delete_attempts=UNUSED,
        delivery_attempts=Attempts(
            records=deliveries,
            waiting=DeliveryState.QUEUED,
            failed=DeliveryState.FAILED,
            limits=Limits(attempts=3, waiting_seconds=0),
            **pace,
        ),
        cleaning_attempts=Chores(
            records=deliveries,
            waiting=DeliveryState.FAILED,
            failed=DeliveryState.FAILED,
            limits=Limits(attempts=99, waiting_seconds=0),
            **pace,
        ),
        checking=UNUSED,
        batches=UNUSED,
        probing=UNUSED,
        turns=alone(),
        close=UNUSED,
    )
    yield Bench(runtime=runtime, files=files, deliveries=deliveries, contents=contents, disk=tmp_path / "disk")
    await targets.close()

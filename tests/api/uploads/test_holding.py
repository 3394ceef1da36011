"""`Holdings.watch`: it tells holders for as long as the process lives, whatever the port answers."""

import asyncio
from contextlib import suppress

import pytest

from api.uploads import holding
from api.uploads.holding import Holdings
from gridhaul.transfer.errors import DatabaseUnavailable
from tests.api.uploads.meanwhile import Meanwhile
from tests.api.uploads.process import Process


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), RuntimeError("a bug"), KeyError("another")])
async def test_watch_goes_on_after_an_error(
    process: Process, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(holding, "WATCH_SECONDS", 0.01)
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise error

    registry = process.parts.registry
    holdings = Holdings(Meanwhile(registry, "leases_to_end", fail), process.parts.contents)
    watch = asyncio.create_task(holdings.watch())
    file = await process.create(5)
    try:
        async with asyncio.timeout(10), holdings.hold(file) as held:
            await failed.wait()
            assert await registry.ask_to_let_go(file.id)
            await held.must_end.wait()
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch

"""Fixtures: processes of the api that share one MongoDB, and that must have given back all their memory at the end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.api.service import Api, serving
from tests.api.uploads.process import Process, make_account, new_process
from tests.contracts.ports import Ports

NewProcess = Callable[..., Process]


@pytest.fixture
async def starting(ports: Ports) -> AsyncIterator[NewProcess]:
    """Yield a function that starts one more process, with its watch over the uploads that it holds."""
    await make_account(ports)
    processes, watches = list[Process](), list[asyncio.Task[None]]()

    def start(**parts: Any) -> Process:
        processes.append(new_process(ports, **parts))
        watches.append(asyncio.create_task(processes[-1].parts.holdings.watch()))
        return processes[-1]

    yield start
    for watch in watches:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
    for process in processes:
        assert not process.parts.holdings._held
        assert process.has_all_its_memory


@pytest.fixture
async def process(starting: NewProcess) -> Process:
    return starting()


@pytest.fixture
async def api(ports: Ports, process: Process) -> AsyncIterator[Api]:
    """Yield the api of the process."""
    async with serving(ports, uploads=process.parts) as served:
        yield served

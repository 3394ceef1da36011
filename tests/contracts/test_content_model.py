"""Contents are compared with a model under puts, seals, deletes, late segments, crashes and sweeps in any order."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from gridhaul.storage.connect import Database, connect
from gridhaul.storage.schema import make_payload_collections, make_registry_indexes
from tests.contracts.beneath import BeneathMemory, BeneathMongo
from tests.contracts.checked_contents import Bench
from tests.contracts.content_machine import ContentMachine
from tests.contracts.memory_contents import MemoryContents
from tests.contracts.ports import LONG_LEASE_SECONDS, memory_ports, mongo_ports

STEPS = 40
MEMORY_EXAMPLES, MONGODB_EXAMPLES = 200, 60


def _drive(bench: Bench, *, examples: int) -> None:
    class Machine(ContentMachine):
        pass

    Machine.bench = bench
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_memory_twins_are_as_the_model() -> None:
    ports = memory_ports(lease_seconds=LONG_LEASE_SECONDS, sweep_after_seconds=0)
    assert isinstance(ports.contents, MemoryContents)
    with asyncio.Runner() as runner:
        _drive(
            Bench(ports=ports, beneath=BeneathMemory(ports.contents), loop=runner.get_loop()), examples=MEMORY_EXAMPLES
        )


@pytest.mark.timeout(600)  # after a failure, Hypothesis takes minutes to shrink the example
def test_mongodb_is_as_the_model(mongo_url: str) -> None:
    with asyncio.Runner() as runner, _database(mongo_url, runner) as database:
        ports = mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS, sweep_after_seconds=0)
        _drive(Bench(ports=ports, beneath=BeneathMongo(database), loop=runner.get_loop()), examples=MONGODB_EXAMPLES)


@contextmanager
def _database(url: str, runner: asyncio.Runner) -> Iterator[Database]:
    """Yield a new database whose client belongs to the runner's event loop."""

    async def make() -> Database:
        database = connect(url, f"test-{uuid4().hex}")
        await make_registry_indexes(database)
        await make_payload_collections(database, block_compressor="none")
        return database

    async def drop(database: Database) -> None:
        await database.client.drop_database(database.name)
        await database.client.close()

    database = runner.run(make())
    try:
        yield database
    finally:
        runner.run(drop(database))

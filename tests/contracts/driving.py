"""Runs a state machine of Hypothesis, the same way each time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from gridhaul.storage.connect import Database, connect
from gridhaul.storage.schema import make_payload_collections, make_registry_indexes

STEPS = 40


def drive(machine: type[RuleBasedStateMachine], *, examples: int) -> None:
    """Run the state machine on this number of examples."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


@contextmanager
def new_database(url: str, runner: asyncio.Runner) -> Iterator[Database]:
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

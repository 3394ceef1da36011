"""Contents are compared with a model under puts, seals, deletes, late segments, crashes and sweeps in any order."""

import asyncio

import pytest

from tests.contracts.beneath import BeneathMemory, BeneathMongo
from tests.contracts.checked_contents import Bench
from tests.contracts.content_machine import ContentMachine
from tests.contracts.driving import drive, new_database
from tests.contracts.memory_contents import MemoryContents
from tests.contracts.ports import LONG_LEASE_SECONDS, memory_ports, mongo_ports

MEMORY_EXAMPLES, MONGODB_EXAMPLES = 200, 60


def _drive(bench: Bench, *, examples: int) -> None:
    class Machine(ContentMachine):
        pass

    Machine.bench = bench
    drive(Machine, examples=examples)


def test_memory_twins_are_as_the_model() -> None:
    ports = memory_ports(lease_seconds=LONG_LEASE_SECONDS, sweep_after_seconds=0)
    assert isinstance(ports.contents, MemoryContents)
    with asyncio.Runner() as runner:
        _drive(
            Bench(ports=ports, beneath=BeneathMemory(ports.contents), loop=runner.get_loop()), examples=MEMORY_EXAMPLES
        )


@pytest.mark.timeout(600)  # after a failure, Hypothesis takes minutes to shrink the example
def test_mongodb_is_as_the_model(mongo_url: str) -> None:
    with asyncio.Runner() as runner, new_database(mongo_url, runner) as database:
        ports = mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS, sweep_after_seconds=0)
        _drive(Bench(ports=ports, beneath=BeneathMongo(database), loop=runner.get_loop()), examples=MONGODB_EXAMPLES)

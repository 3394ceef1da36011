"""Contents of ordered uploads under requests that follow each other, and that write late and in any order.

Every acknowledged byte is what the request wrote whose offset acknowledged it, and stays so.
"""

import asyncio

import pytest

from tests.contracts.beneath import BeneathMemory, BeneathMongo
from tests.contracts.checked_contents import Bench
from tests.contracts.driving import drive, new_database
from tests.contracts.memory_contents import MemoryContents
from tests.contracts.ports import LONG_LEASE_SECONDS, memory_ports, mongo_ports
from tests.contracts.upload_machine import UploadMachine

MEMORY_EXAMPLES, MONGODB_EXAMPLES = 150, 25


def _machine(bench: Bench, *, inline_limit: int) -> type[UploadMachine]:
    class Machine(UploadMachine):
        pass

    Machine.bench, Machine.inline_limit = bench, inline_limit
    return Machine


@pytest.mark.parametrize("inline_limit", [0, 15])
def test_memory_twins_are_as_the_model(inline_limit: int) -> None:
    ports = memory_ports(lease_seconds=LONG_LEASE_SECONDS, sweep_after_seconds=0)
    assert isinstance(ports.contents, MemoryContents)
    with asyncio.Runner() as runner:
        bench = Bench(ports=ports, beneath=BeneathMemory(ports.contents), loop=runner.get_loop())
        drive(_machine(bench, inline_limit=inline_limit), examples=MEMORY_EXAMPLES)


@pytest.mark.timeout(600)  # after a failure, Hypothesis takes minutes to shrink the example
@pytest.mark.parametrize("inline_limit", [0, 15])
def test_mongodb_is_as_the_model(mongo_url: str, inline_limit: int) -> None:
    with asyncio.Runner() as runner, new_database(mongo_url, runner) as database:
        ports = mongo_ports(database, lease_seconds=LONG_LEASE_SECONDS, sweep_after_seconds=0)
        bench = Bench(ports=ports, beneath=BeneathMongo(database), loop=runner.get_loop())
        drive(_machine(bench, inline_limit=inline_limit), examples=MONGODB_EXAMPLES)

"""Deliveries to every WebDAV server of the tests: each policy, a wrong password, attempts that end in the middle."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import pytest

from gridhaul.transfer.model import Content, Delivery, IfExists
from gridhaul.transfer.naming import temporary_name
from gridhaul.transfer.ports.contents import Chunks
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tasks import attempt
from tests.contracts.altered_chunks import AlteredChunks
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import eventually
from tests.delivered import temporaries_below
from tests.folders import NewFolder
from tests.journeys.processes import PROJECT
from tests.targets.place import TARGET as THERE
from tests.targets.places import WebPlace
from tests.targets.servers import WEBDAV, Places, places
from tests.tasks.delivery_bench import NAME, OLD, Bench, Damaged, code_of
from tests.tasks.worker_parts import known

DATA = some_bytes(3 * MIB)
DELIVERED, FAILED = DeliveryState.DELIVERED, DeliveryState.FAILED


@dataclass(frozen=True, kw_only=True)
class There:
    """A place at a server, and the bench that delivers to it."""

    place: WebPlace
    bench: Bench

    def holds(self) -> dict[str, bytes]:
        """Return the objects of the place."""
        return {path.name: path.read_bytes() for path in self.place.directory.iterdir()}

    async def deliver(self, *, if_exists: IfExists = IfExists.FAIL) -> Delivery:
        return await self.bench.deliver(DATA, THERE, if_exists=if_exists, attempts=3)

    async def has_nothing_of_ours(self, delivery: Delivery) -> bool:
        """Clean up after the delivery; return whether nothing of it is left but its object."""
        await self.bench.clean(delivery)
        return not temporaries_below(self.place.directory)


@pytest.fixture(scope="module")
def running(new_folder: NewFolder) -> Iterator[Places]:
    with new_folder("places") as folder, places(folder) as found:
        yield found


@pytest.fixture(params=WEBDAV)
async def there(request: pytest.FixtureRequest, running: Places, bench: Bench) -> AsyncIterator[There]:
    place = running[request.param].inner()
    async with place.targets() as targets:
        bench.runtime = replace(bench.runtime, targets=known(targets))
        yield There(place=place, bench=bench)


async def test_object_is_delivered_and_nothing_else_is_left(there: There) -> None:
    delivery = await there.deliver()
    assert delivery.receipt is not None
    assert (delivery.receipt.evidence, delivery.receipt.atomic_commit) == (there.place.traits.evidence, True)
    assert (delivery.attempts, there.holds()) == (1, {NAME: DATA})


async def test_taken_name_under_the_policy_fail_keeps_what_it_names(there: There) -> None:
    (there.place.directory / NAME).write_bytes(OLD)
    delivery = await there.deliver()
    assert (delivery.state, code_of(delivery), delivery.attempts) == (FAILED, "object_exists", 1)
    assert there.holds() == {NAME: OLD}


async def test_taken_name_under_the_policy_overwrite_names_the_new_object(there: There) -> None:
    (there.place.directory / NAME).write_bytes(OLD)
    delivery = await there.deliver(if_exists=IfExists.OVERWRITE)
    assert (delivery.state, delivery.attempts, there.holds()) == (DELIVERED, 1, {NAME: DATA})


async def test_taken_name_under_the_policy_rename_gives_the_new_object_another(there: There) -> None:
    (there.place.directory / NAME).write_bytes(OLD)
    delivery = await there.deliver(if_exists=IfExists.RENAME)
    assert (delivery.state, delivery.attempts) == (DELIVERED, 1)
    assert there.holds() == {NAME: OLD, "run (1).h5": DATA}


async def test_equal_object_under_the_name_is_the_delivery(there: There) -> None:
    (there.place.directory / NAME).write_bytes(DATA)
    delivery = await there.deliver()
    assert (delivery.state, delivery.sent_bytes, there.holds()) == (DELIVERED, len(DATA), {NAME: DATA})


async def test_wrong_password_fails_the_delivery_at_once(there: There) -> None:
    async with there.place.targets(**there.place.wrong) as targets:
        there.bench.runtime = replace(there.bench.runtime, targets=known(targets))
        delivery = await there.deliver()
    assert (delivery.state, code_of(delivery), delivery.attempts) == (FAILED, "target_refused", 1)
    assert delivery.error is not None
    assert "401" in delivery.error.detail
    assert there.holds() == {}


async def test_delivery_cancelled_in_the_middle_can_be_done_again(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "TICK_SECONDS", 0.01)  # how soon a worker stops is measured elsewhere
    monkeypatch.setattr(attempt, "LEASE_LOOK_SECONDS", 0.02)
    bench, reached = there.bench, Event()

    class Stuck(Damaged):
        """Contents of which only the first chunk can be read."""

        def read(self, content: Content) -> Chunks:
            def only_first(chunks: Iterator[bytes]) -> Iterator[bytes]:
                yield next(chunks)
                reached.set()
                stuck.is_stopped.wait()
                yield from chunks

            stuck = AlteredChunks(super().read(content), only_first)
            return stuck

    bench.contents.__class__ = Stuck
    delivering = asyncio.create_task(there.deliver())
    assert await asyncio.to_thread(reached.wait, 20)
    await bench.deliveries.move(bench.row.record.id, DELIVERY_MOVES[Action.CANCEL])
    delivery = await delivering
    assert delivery.state is DeliveryState.CANCELLED
    bench.contents.__class__ = Damaged
    await bench.deliveries.move(delivery.id, DELIVERY_MOVES[Action.RETRY])
    delivery = await bench.attempt(delivery)
    assert delivery.state is DELIVERED
    assert await eventually(lambda: there.has_nothing_of_ours(delivery))
    assert there.holds() == {NAME: DATA}


async def test_delivery_whose_worker_is_killed_in_the_middle_is_done_by_the_next(there: There, tmp_path: Path) -> None:
    bench = there.bench
    delivery = await bench.open(DATA, THERE)
    killed = await bench.deliveries.claim(
        delivery.id, holder="killed", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
    )
    assert killed is not None
    temporary = temporary_name(NAME, killed.lease)
    await bench.deliveries.renew(killed.lease, leftovers=(temporary,))
    (tmp_path / "targets.toml").write_text(there.place.section())
    await asyncio.to_thread(_send_half_and_be_killed, tmp_path / "targets.toml", temporary)
    bench.row.lease_until = 0.0
    delivery = await bench.attempt(delivery)
    assert (delivery.state, delivery.attempts) == (DELIVERED, 2)
    assert await eventually(lambda: there.has_nothing_of_ours(delivery))
    assert there.holds() == {NAME: DATA}


def _send_half_and_be_killed(targets_file: Path, name: str) -> None:
    command = [sys.executable, "-m", "tests.targets.stalled_put", str(targets_file), THERE, name]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
        finally:
            process.kill()

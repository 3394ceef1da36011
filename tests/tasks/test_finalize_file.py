"""Deliveries that go wrong: what is left at a real target, and what the record says. Memory twins hold the rest."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from gridhaul.targets.registry import load_targets
from gridhaul.transfer import retry
from gridhaul.transfer.errors import ChunkCorrupt
from gridhaul.transfer.model import Content, Delivery, IfExists, NewDelivery, Queue
from gridhaul.transfer.states import DELIVERABLE, STORABLE, DeliveryState, FileState
from tasks.attempt import Attempts
from tasks.finalize_file import deliver_file
from tasks.runtime import Runtime
from tests.contracts.bytes_to_store import MIB, sealed, some_bytes
from tests.contracts.memory_contents import MemoryContents, MemoryIntake
from tests.contracts.memory_registry import MemoryDeliveries, MemoryFiles
from tests.contracts.ports import destination, new_file
from tests.servers.http_store import HttpStore, http_store

NAME = "run.h5"
OLD = b"what was there before"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.0)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[HttpStore]:
    (tmp_path / "web").mkdir()
    with http_store(tmp_path / "web") as store:
        yield store


class Damaged(MemoryContents):
    """Finds the chunk with this number damaged, when one is named."""

    damaged: int | None = None

    async def read(self, content: Content) -> AsyncGenerator[bytes]:
        async with aclosing(super().read(content)) as chunks:
            n = 0
            async for chunk in chunks:
                if n == self.damaged:
                    raise ChunkCorrupt(f"Chunk {n} is damaged.")
                yield chunk
                n += 1


@dataclass(kw_only=True)
class Bench:
    """One stored file, and the targets `web` (plain HTTP) and `disk` (a directory)."""

    runtime: Runtime
    files: MemoryFiles
    deliveries: MemoryDeliveries
    contents: Damaged
    disk: Path

    async def file_of(self, data: bytes) -> NewDelivery:
        content = await sealed(self.contents, MemoryIntake(self.contents, inline_limit_chunks=15), data)
        file, _ = await self.files.register(new_file(length=len(data)))
        taken = await self.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
        assert taken is not None
        assert content.sha256 is not None
        await self.files.finish(taken.lease, FileState.STORED, content_id=content.id, sha256=content.sha256)
        return NewDelivery(
            file_id=file.id,
            owner=file.owner,
            destination=destination("web"),
            length=len(data),
            sha256=content.sha256,
            queue=Queue.SMALL,
        )

    async def deliver(
        self, data: bytes, to: str, *, if_exists: IfExists = IfExists.FAIL, attempts: int = 1
    ) -> Delivery:
        new = await self.file_of(data)
        wanted = destination(to, object_name=NAME, if_exists=if_exists)
        delivery, _ = await self.deliveries.open(
            NewDelivery(
                file_id=new.file_id,
                owner=new.owner,
                destination=wanted,
                length=new.length,
                sha256=new.sha256,
                queue=new.queue,
            )
        )
        for _ in range(attempts):
            await deliver_file(self.runtime, delivery.id)
        found = await self.deliveries.get(delivery.id)
        assert found is not None
        return found


@pytest.fixture
async def bench(web: HttpStore, tmp_path: Path) -> AsyncIterator[Bench]:
    (tmp_path / "disk").mkdir()
    configured = tmp_path / "targets.toml"
    configured.write_text(
        f'[targets.web]\nkind = "http"\nurl = "{web.url}"\n'
        f'[targets.disk]\nkind = "directory"\npath = "{tmp_path / "disk"}"\n'
    )
    files, deliveries = MemoryFiles(lease_seconds=60), MemoryDeliveries(lease_seconds=60)
    contents, targets = Damaged(sweep_after_seconds=60), load_targets(configured)
    nothing = cast("Any", None)
    attempts: Attempts[DeliveryState] = Attempts(
        records=deliveries,
        waiting=DeliveryState.QUEUED,
        failed=DeliveryState.FAILED,
        stopping=lambda: False,
        renew_seconds=10,
        lease_seconds=60,
        max_attempts=3,
    )
    runtime = Runtime(
        settings=nothing,
        holder="worker",
        files=files,
        deliveries=deliveries,
        contents=contents,
        chunks=nothing,
        targets=targets,
        hints=nothing,
        file_attempts=nothing,
        delete_attempts=nothing,
        delivery_attempts=attempts,
        close=nothing,
    )
    yield Bench(runtime=runtime, files=files, deliveries=deliveries, contents=contents, disk=tmp_path / "disk")
    await targets.close()


def code_of(delivery: Delivery) -> str | None:
    return delivery.error.code if delivery.error else None


async def test_refused_overwrite_leaves_what_was_there(bench: Bench, web: HttpStore) -> None:
    (web.directory / NAME).write_bytes(OLD)
    web.refused_method = "PUT"
    delivery = await bench.deliver(b"new", "web", if_exists=IfExists.OVERWRITE)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "target_refused")
    assert (web.directory / NAME).read_bytes() == OLD


async def test_damage_found_before_the_first_byte_leaves_what_was_there(bench: Bench, web: HttpStore) -> None:
    (web.directory / NAME).write_bytes(OLD)
    bench.contents.damaged = 0
    delivery = await bench.deliver(b"new", "web", if_exists=IfExists.OVERWRITE)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "chunk_corrupt")
    assert (web.directory / NAME).read_bytes() == OLD


async def test_part_sent_under_the_final_name_is_taken_back(bench: Bench, web: HttpStore) -> None:
    bench.contents.damaged = 1
    delivery = await bench.deliver(some_bytes(3 * MIB), "web")
    assert (delivery.state, code_of(delivery), delivery.final_touched) == (DeliveryState.FAILED, "chunk_corrupt", False)
    assert not (web.directory / NAME).exists()


async def test_worker_that_lost_its_lease_touches_nothing(bench: Bench, web: HttpStore) -> None:
    """Another one takes the record while the first byte is on its way."""
    taken: list[Delivery | None] = []

    class Stolen(Damaged):
        async def read(self, content: Content) -> AsyncGenerator[bytes]:
            async with aclosing(super().read(content)) as chunks:
                async for chunk in chunks:
                    yield chunk
                    (row,) = bench.deliveries.rows.values()
                    row.lease_until = 0.0
                    taken.append(
                        await bench.deliveries.claim(
                            row.record.id, holder="b", from_states=DELIVERABLE, to_state=DeliveryState.STREAMING
                        )
                    )
                    raise ChunkCorrupt("Chunk 1 is damaged.")

    bench.contents.__class__ = Stolen
    delivery = await bench.deliver(some_bytes(3 * MIB), "web")
    assert delivery == taken[0]
    assert not [request for request in web.requests if request.startswith("DELETE")]


async def test_write_only_target_is_believed_and_its_receipt_says_so(bench: Bench, web: HttpStore) -> None:
    web.write_only = True
    delivery = await bench.deliver(b"new", "web")
    assert delivery.state is DeliveryState.DELIVERED
    assert delivery.receipt is not None
    assert (delivery.receipt.evidence, delivery.receipt.atomic_commit) == ("acknowledged", False)
    assert (web.directory / NAME).read_bytes() == b"new"


async def test_unknown_outcome_at_a_write_only_target_is_not_repeated(bench: Bench, web: HttpStore) -> None:
    web.write_only = True
    web.answers = [(405, {}), (500, {})]
    delivery = await bench.deliver(b"new", "web", attempts=2)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "outcome_unknown")


async def test_name_taken_while_the_object_was_sent_is_judged_by_the_next_probe(bench: Bench) -> None:
    class Raced(Damaged):
        async def read(self, content: Content) -> AsyncGenerator[bytes]:
            async with aclosing(super().read(content)) as chunks:
                async for chunk in chunks:
                    (bench.disk / NAME).write_bytes(bench_bytes[0])
                    yield chunk

    bench_bytes = [b"new"]
    bench.contents.__class__ = Raced
    ours = await bench.deliver(b"new", "disk", attempts=2)
    assert (ours.state, ours.attempts) == (DeliveryState.DELIVERED, 2)
    (bench.disk / NAME).unlink()
    bench_bytes = [OLD]
    theirs = await bench.deliver(b"newer", "disk", attempts=2)
    assert (theirs.state, code_of(theirs)) == (DeliveryState.FAILED, "object_exists")
    assert [path.name for path in bench.disk.iterdir()] == [NAME]
    assert (bench.disk / NAME).read_bytes() == OLD


async def test_length_shown_late_is_waited_for(bench: Bench, web: HttpStore) -> None:
    """The answers: nothing there, taken, an older length, then what is there."""
    web.answers = [(404, {}), (201, {}), (200, {"Content-Length": "1"})]
    (web.directory / NAME).write_bytes(b"new")
    delivery = await bench.deliver(b"new", "web")
    assert delivery.state is DeliveryState.DELIVERED


async def test_other_bytes_of_the_right_length_are_a_mismatch_and_are_removed(bench: Bench, web: HttpStore) -> None:
    web.answers = [(404, {}), (201, {})]
    (web.directory / NAME).write_bytes(b"bad")
    delivery = await bench.deliver(b"new", "web")
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "target_mismatch")
    assert not (web.directory / NAME).exists()

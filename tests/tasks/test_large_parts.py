"""Deliveries of objects whose S3 parts are read twice, because they are too large for memory. The limit is lowered."""

import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gridhaul.process.stages import StagesStopped
from gridhaul.targets.s3 import in_flight, part_sizes
from gridhaul.targets.targets_file import load_targets
from gridhaul.transfer.errors import ChunkCorrupt
from gridhaul.transfer.model import CheckedWhen, Content, Evidence
from gridhaul.transfer.ports.contents import Chunks
from gridhaul.transfer.states import DeliveryState
from tasks.delivering.sending import _ContentBlocks
from tests.contracts.altered_chunks import AlteredChunks
from tests.contracts.bytes_to_store import MIB, sealed, some_bytes
from tests.contracts.memory_contents import MemoryIntake
from tests.folders import NewFolder
from tests.servers.disturbances import Answer, LoseAnswer
from tests.servers.proxy import Proxy, proxying
from tests.servers.rclone_s3 import S3Server
from tests.servers.seaweedfs import seaweedfs
from tests.tasks.delivery_bench import NAME, Bench, Damaged, code_of
from tests.tasks.worker_parts import known

PART = part_sizes.PART_LEAST_BYTES
DATA = some_bytes(2 * PART + 5)
TARGET = "bucket"


@pytest.fixture(scope="module")
def server(new_folder: NewFolder) -> Iterator[S3Server]:
    with new_folder("seaweedfs") as folder, seaweedfs(folder) as found:
        yield found


@pytest.fixture
async def proxy(
    server: S3Server, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Proxy]:
    """Let the bench deliver to the server through a proxy."""
    monkeypatch.setattr(part_sizes, "BUFFERED_BYTES", PART - 1)
    monkeypatch.setattr(in_flight, "TRIES", 1)
    (tmp_path / "secret").write_text(server.secret_access_key)
    (tmp_path / "key").write_text(server.access_key_id)
    with proxying(server.host, server.port) as proxy:
        (tmp_path / "s3.toml").write_text(
            f'[targets.{TARGET}]\nkind = "s3"\nendpoint = "{proxy.url}"\nbucket = "{server.bucket}"\n'
            f'prefix = "{tmp_path.name}"\naccess_key_id = {{ file = "{tmp_path}/key" }}\n'
            f'secret_access_key = {{ file = "{tmp_path}/secret" }}\n'
        )
        targets = load_targets(tmp_path / "s3.toml")
        bench.runtime = replace(bench.runtime, targets=known(targets))
        yield proxy
        await targets.close()


def _is_reading() -> bool:
    return any(thread.name == "reading" for thread in threading.enumerate())


async def test_object_is_proved_by_its_parts_before_the_commit(
    proxy: Proxy, bench: Bench, server: S3Server, tmp_path: Path
) -> None:
    delivery = await bench.deliver(DATA, TARGET)
    assert delivery.receipt is not None, delivery.error
    receipt = delivery.receipt
    assert (receipt.evidence, receipt.checked) == (Evidence.PART_DIGESTS, CheckedWhen.BEFORE_COMMIT)
    assert receipt.sent_in_attempts == (len(DATA),)
    assert server.request("GET", f"{server.bucket}/{tmp_path.name}/{NAME}").content == DATA
    assert not _is_reading()


async def test_next_attempt_goes_on_at_a_part(proxy: Proxy, bench: Bench, server: S3Server, tmp_path: Path) -> None:
    proxy.plan(Answer(status=500), method="PUT", part_of_target="partNumber=2&")
    delivery = await bench.deliver(DATA, TARGET)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.QUEUED, "target_unavailable")
    assert delivery.stage is not None
    assert delivery.stage.offset == PART
    assert not _is_reading()
    delivery = await bench.attempt(delivery)
    assert delivery.receipt is not None, delivery.error
    assert delivery.receipt.sent_in_attempts[-1] == len(DATA) - PART
    assert server.request("GET", f"{server.bucket}/{tmp_path.name}/{NAME}").content == DATA


async def test_time_of_each_begun_upload_is_noted_also_if_the_answer_is_lost(proxy: Proxy, bench: Bench) -> None:
    proxy.plan(LoseAnswer(), method="POST", part_of_target="uploads=")
    delivery = await bench.deliver(DATA, TARGET)
    assert (code_of(delivery), len(delivery.uploads_begun)) == ("target_unavailable", 1)
    proxy.plan(Answer(status=500), method="PUT", part_of_target="partNumber=2&")
    begun_again = (await bench.attempt(delivery)).uploads_begun
    assert begun_again[:1] == delivery.uploads_begun
    assert len(begun_again) == 2
    delivered = await bench.attempt(delivery)  # it goes on with the second upload
    assert (delivered.state, delivered.uploads_begun) == (DeliveryState.DELIVERED, begun_again)


async def test_chunk_that_is_damaged_at_the_second_reading_never_leaves(proxy: Proxy, bench: Bench) -> None:
    class DamagedLater(Damaged):
        def read_range(self, content: Content, *, start: int, stop: int) -> Chunks:
            def damaged(chunks: Iterator[bytes]) -> Iterator[bytes]:
                yield next(chunks)
                raise ChunkCorrupt("Chunk 1 is damaged.")

            return AlteredChunks(super().read_range(content, start=start, stop=stop), damaged)

    bench.contents.__class__ = DamagedLater
    delivery = await bench.deliver(DATA, TARGET)
    assert (delivery.state, code_of(delivery)) == (DeliveryState.FAILED, "chunk_corrupt")
    assert not _is_reading()


async def test_reading_that_is_given_up_is_waited_for_only_at_the_end(bench: Bench) -> None:
    """The event loop gives it up, after a failed try of a part, and must not wait for the thread that reads."""
    closed = list[Chunks]()

    class NotesClosing(AlteredChunks):
        def close(self) -> None:
            closed.append(self)
            super().close()

    class Contents(Damaged):
        def read_range(self, content: Content, *, start: int, stop: int) -> Chunks:
            return NotesClosing(super().read_range(content, start=start, stop=stop), iter)

    bench.contents.__class__ = Contents
    data = some_bytes(3 * MIB + 5)
    content = await sealed(bench.contents, MemoryIntake(bench.contents, inline_limit_chunks=15), data)
    blocks = _ContentBlocks(bench.contents, content, 0)
    assert b"".join(blocks.again(0, 2 * MIB)) == data[: 2 * MIB]
    assert len(closed) == 1
    given_up = blocks.again(0, 2 * MIB)
    next(given_up)
    del given_up
    assert len(closed) == 1
    blocks.close()
    assert len(closed) == 2
    assert not _is_reading()


async def test_bytes_are_read_again_from_the_offset_until_the_blocks_are_stopped(bench: Bench) -> None:
    data = some_bytes(3 * MIB + 5)
    content = await sealed(bench.contents, MemoryIntake(bench.contents, inline_limit_chunks=15), data)
    blocks = _ContentBlocks(bench.contents, content, MIB)
    assert b"".join(blocks) == data[MIB:]
    for start, length in ((0, 1), (5, 2 * MIB), (0, 2 * MIB + 5)):
        assert b"".join(blocks.again(start, length)) == data[MIB + start : MIB + start + length]
    begun, late = blocks.again(0, 2 * MIB), blocks.again(0, 2 * MIB)
    next(begun)
    blocks.stop()
    for reading in (begun, late):
        with pytest.raises(StagesStopped):
            list(reading)
    blocks.close()
    assert not _is_reading()

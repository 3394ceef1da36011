"""Stored bytes are damaged in the database: no target gets them, a check names the chunk, a repair restores it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import ASCENDING

from tests.faults.catalogue import fault
from tests.faults.stand import TARGETS
from tests.faults.stored import StoredFile
from tests.faults.world import MIB, World
from tests.journeys.operator import Json

LENGTH = 20 * MIB + 12_345  # 21 chunks, the last one short
CHUNKS = 21
INLINE_CHUNKS = 5
UNIQUE = [("files_id", ASCENDING), ("n", ASCENDING)]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The chunks of one content, one document each."""

    file: StoredFile
    chunks: Any
    world: World

    def key(self, n: int) -> dict[str, object]:
        return {"files_id": self.file.content_id, "n": n}

    def document(self, n: int) -> dict[str, Any]:
        return dict(self.chunks.find_one(self.key(n)))


Finding = tuple[str, int]  # the finding's code and the number of the chunk
Damage = Callable[[Stored, int], list[Finding]]  # damages the chunk, and returns what a check must find


@fault(22, stage="at rest", title="a byte flipped in a stored chunk")
def byte_flipped(world: World) -> None:
    _require_found(world, _flip, "chunk_corrupt")


@fault(22, stage="at rest", title="a byte flipped in a small file")
def inline_byte_flipped(world: World) -> None:
    file = StoredFile.make(world, INLINE_CHUNKS * MIB)
    n = world.rng.randrange(INLINE_CHUNKS)
    with world.operator.database() as database:
        chunks = list(database["inline"].find_one({"_id": file.content_id})["chunks"])
        chunks[n] = _flipped(world, chunks[n])
        database["inline"].update_one({"_id": file.content_id}, {"$set": {"chunks": chunks}})
    _require_named(world, file, n, code="chunk_corrupt", findings=[("chunk_corrupt", n)])


@fault(23, stage="at rest", title="a chunk deleted")
def chunk_deleted(world: World) -> None:
    _require_found(world, _delete, "chunk_missing")


@fault(23, stage="at rest", title="a chunk stored twice, the unique index lost")
def chunk_doubled(world: World) -> None:
    with _without_unique_index(world):
        _require_found(world, _double, "chunk_doubled")


@fault(23, stage="at rest", title="two chunks swapped with their digests")
def chunks_swapped(world: World) -> None:
    _require_found(world, _swap, "chunk_corrupt")


def _flip(stored: Stored, n: int) -> list[Finding]:
    data = _flipped(stored.world, stored.document(n)["data"])
    stored.chunks.update_one(stored.key(n), {"$set": {"data": data}})
    return [("chunk_corrupt", n)]


def _delete(stored: Stored, n: int) -> list[Finding]:
    stored.chunks.delete_one(stored.key(n))
    return [("chunk_missing", n)]


def _double(stored: Stored, n: int) -> list[Finding]:
    """Store the chunk a second time, with the same bytes or with a bit flipped."""
    second = {name: value for name, value in stored.document(n).items() if name != "_id"}
    if stored.world.rng.random() < 0.5:
        second["data"] = _flipped(stored.world, second["data"])
    stored.chunks.insert_one(second)
    return [("chunk_doubled", n)]


def _swap(stored: Stored, n: int) -> list[Finding]:
    """Swap data and digest of the chunk with those of a later chunk."""
    other = stored.world.rng.randrange(n + 1, CHUNKS)
    documents = {number: stored.document(number) for number in (n, other)}
    for number, taken in ((n, documents[other]), (other, documents[n])):
        values = {"data": taken["data"], "digest": taken["digest"]}
        stored.chunks.update_one(stored.key(number), {"$set": values})
    return [("chunk_misplaced", n), ("chunk_misplaced", other)]


def _flipped(world: World, data: bytes) -> bytes:
    changed = bytearray(data)
    changed[world.rng.randrange(len(changed))] ^= 1 << world.rng.randrange(8)
    return bytes(changed)


def _require_found(world: World, damage: Damage, code: str) -> None:
    file = StoredFile.make(world, LENGTH)
    n = world.rng.randrange(CHUNKS - 1)
    with world.operator.database() as database:
        findings = damage(Stored(file=file, chunks=database["fs.chunks"], world=world), n)
    _require_named(world, file, n, code=code, findings=findings)


def _require_named(world: World, file: StoredFile, n: int, *, code: str, findings: list[Finding]) -> None:
    """Require that every delivery fails at once and names the chunk, and that a check finds and repairs the damage."""
    world.start_seaweedfs()
    deliveries = [file.deliver(target) for target in TARGETS]
    for delivery in deliveries:
        view = delivery.failed(code)
        assert f"Chunk {n} " in view["error"]["detail"], view
        assert view["attempts"] == 1, view
    assert _findings(world.operator.fsck(file.file_id)) == [(*finding, "found") for finding in findings]
    with world.recovers():
        repaired = world.operator.fsck(file.file_id, mode="repair")
    assert _findings(repaired) == [(*finding, "repaired") for finding in findings]
    assert repaired["source_bytes"] <= len(findings) * MIB, "the repair read more of the source than was wrong"
    assert _findings(world.operator.fsck(file.file_id)) == []
    for delivery in deliveries:
        delivery.retry()
    for delivery in deliveries:
        delivery.delivered()


def _findings(check: Json) -> list[tuple[str, int, str]]:
    return [(finding["code"], finding["n"], finding["outcome"]) for finding in check["findings"]]


@contextmanager
def _without_unique_index(world: World) -> Iterator[None]:
    """Drop the unique index, and make it again at the end, when the repair has left no chunk twice."""
    with world.operator.database() as database:
        database["fs.chunks"].drop_index(UNIQUE)
        yield
        database["fs.chunks"].create_index(UNIQUE, unique=True)

"""Faults of the database."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from gridhaul.outgoing.headers import read_chunk_digests
from tests.faults.catalogue import fault
from tests.faults.world import MIB, World, wait_for
from tests.servers.disturbances import Hold, Side
from tests.servers.proxy import Seen

SEGMENT_CHUNKS = 16
LAST_SEGMENT = 6
LARGE_BYTES = (LAST_SEGMENT + 1) * SEGMENT_CHUNKS * MIB
SMALL_FILES = 8
ACKNOWLEDGED = (200, 201)
START_SECONDS = 30
RECOVERY_SECONDS = 45


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A chunk that was sent to the chunk service."""

    content: ObjectId
    n: int
    digest: bytes


@fault(20, stage="database", title="kill -9 of mongod during inserts of a large file and of small ones")
def database_killed(world: World) -> None:
    small = [world.make_file(world.rng.randrange(1, 4 * MIB)) for _ in range(SMALL_FILES)]
    before = world.rng.randint(1, LAST_SEGMENT - 2)
    last = Hold(side=Side.REQUEST, after_bytes=0)  # so that the file is not fully stored before the kill
    world.proxies["chunk_service"].plan(last, method="PUT", part_of_target=f"/chunks/{LAST_SEGMENT * SEGMENT_CHUNKS}")
    large = world.send(world.make_file(LARGE_BYTES), to="hashed")
    wait_for(
        lambda: len(set(_acknowledged(world))) >= before * SEGMENT_CHUNKS,
        seconds=START_SECONDS,
        what="some segments are acknowledged",
    )
    files = [large, *(world.send(source, to="directory") for source in small)]
    with world.recovers():
        kill_database(world)
        last.release()
        with world.operator.database() as database:
            wait_for(lambda: _answers(database), seconds=START_SECONDS, what="mongod is back")
            acknowledged = set(_acknowledged(world))
            lost = [chunk for chunk in acknowledged if not _is_stored(database, chunk)]
        assert acknowledged, "no chunk was acknowledged"
        assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged chunks are lost: {lost[:5]}"
        for file_id in files:
            world.operator.delivered(file_id, seconds=RECOVERY_SECONDS)
    _require_sent_until_acknowledged(world)


def kill_database(world: World) -> None:
    mongod = world.process("mongod")
    mongod.kill()
    mongod.wait(START_SECONDS)


def _answers(database: Any) -> bool:
    try:
        return bool(database.command("ping")["ok"])
    except PyMongoError:
        return False


def _acknowledged(world: World) -> Iterator[Chunk]:
    for seen in _answered(world):
        yield from _chunks(seen)


def _answered(world: World) -> list[Seen]:
    return [seen for seen in _segments(world) if seen.status in ACKNOWLEDGED]


def _segments(world: World) -> list[Seen]:
    return [seen for seen in list(world.proxies["chunk_service"].requests) if seen.method == "PUT"]


def _chunks(seen: Seen) -> Iterator[Chunk]:
    _, _, content, _, first = seen.target.split("/")
    for n, digest in enumerate(read_chunk_digests(seen.headers["chunk-digests"]), int(first)):
        yield Chunk(content=ObjectId(content), n=n, digest=digest)


def _is_stored(database: Any, chunk: Chunk) -> bool:
    """Return whether the chunk is stored with its digest, in either layout."""
    found = database["fs.chunks"].find_one({"files_id": chunk.content, "n": chunk.n}, {"digest": 1})
    if found is not None:
        return bool(found["digest"] == chunk.digest)
    inline = database["inline"].find_one({"_id": chunk.content}, {"digests": 1})
    return inline is not None and bool(inline["digests"][chunk.n * 32 : (chunk.n + 1) * 32] == chunk.digest)


def _require_sent_until_acknowledged(world: World) -> None:
    """Require that no chunk was sent again after it was acknowledged."""
    known: dict[tuple[ObjectId, int], float] = {}
    for seen in sorted(_segments(world), key=lambda seen: seen.at):
        for chunk in _chunks(seen):
            before = known.get((chunk.content, chunk.n))
            assert before is None or seen.at < before, f"{chunk} was sent again"
        if seen.status in ACKNOWLEDGED:
            known |= {(chunk.content, chunk.n): seen.last_byte_at for chunk in _chunks(seen)}

"""Faults while deleted contents are removed."""

import http
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import psutil
from bson import ObjectId

from tests.contracts.content_ids import content_id_of
from tests.faults.catalogue import fault
from tests.faults.invariants import let_sweep_time_pass
from tests.faults.stored import StoredFile
from tests.faults.world import MIB, World, wait_for
from tests.journeys.chunk_writer import ChunkWriter
from tests.servers.disturbances import Side, Stall

LARGE_BYTES = 128 * MIB
SMALL_FILES = 8
KILLS_TRIED_AT_MOST = 8
RECOVERY_SECONDS = 45
STRIKE_SECONDS = 30  # the longest wait for a moment within a row
SEGMENT_CHUNKS = 16
SEGMENTS = 4  # of the large file; its upload is stopped within one of them
FOREVER = float("inf")
REFUSED = (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT)
# The collections that hold bytes of contents, each with the field that names the content.
PAYLOAD = {"fs.chunks": "files_id", "fs.files": "_id", "inline": "_id", "manifests": "_id.content"}


@fault(30, stage="cleaning", title="kill -9 of the child in the middle of a delete")
def killed_while_deleting(world: World) -> None:
    with world.operator.database() as database:
        file, content_id = _killed_in_the_middle(world, database)
        with world.recovers():
            _wait_until_deleted(world, file.file_id)
        assert world.record("files", file.file_id)["attempts"] == 2
        assert not _bytes_of(database, content_id)
        _wait_until_swept(world, database, content_id)


@fault(30, stage="cleaning", title="segments that come late for a deleted content")
def late_segments(world: World) -> None:
    file_id, content_id = _send_to_segment(world, 2 * SEGMENT_CHUNKS)
    system = world.system
    writer = ChunkWriter(content_id=str(content_id), url=system.chunk_service_url, secret=system.service_secret)
    late = _LateSegment(world, writer)
    with world.operator.database() as database, ThreadPoolExecutor(1) as pool:
        on_its_way = pool.submit(late.send)
        try:
            late.half_sent.wait(STRIKE_SECONDS)
            _delete(world, file_id)
            _wait_until_deleted(world, file_id)
        finally:
            late.go_on.set()
        world.proxies["chunk_service"].reset_all()
        answers = [on_its_way.result(STRIKE_SECONDS), writer.put(late.first, late.chunks)]
        assert not _bytes_of(database, content_id)
        # A chunk service that stood still between its look at the content and its insert would leave this chunk.
        database["fs.chunks"].insert_one({"files_id": content_id, "n": late.first, "data": b"x", "digest": b"y" * 32})
        _wait_until_swept(world, database, content_id)
        answers.append(writer.put(late.first, late.chunks))
        assert not _bytes_of(database, content_id)
    assert {answer.status_code for answer in answers} <= set(REFUSED), answers


@fault(30, stage="cleaning", title="gc again and again beside active uploads", settings={"GRIDHAUL_SWEEP_SECONDS": "0"})
def gc_beside_uploads(world: World) -> None:
    """With SWEEP_SECONDS=0, the age of bytes does not protect them from gc: only a file that refers to them does."""
    large, content_id = _send_to_segment(world, world.rng.randrange(SEGMENTS) * SEGMENT_CHUNKS)
    with world.operator.database() as database:
        orphan = _leave_orphan(world, database)
        assert database["contents"].find_one({"_id": content_id})["state"] == "OPEN"
        found = world.operator.gc()["findings"]
        assert [(one["content_id"], one["outcome"]) for one in found] == [(str(orphan), "repaired")], found
        assert not _bytes_of(database, orphan)
    world.proxies["chunk_service"].reset_all()
    small = [world.send(world.make_file(world.rng.randrange(20 * MIB)), to="directory") for _ in range(SMALL_FILES)]
    files = [large, *small]
    rounds = 0
    while rounds < 2 or not _all_delivered(world, len(files)):
        assert world.operator.gc()["findings"] == []
        rounds += 1
    for file_id in files:
        world.operator.delivered(file_id)
        assert world.operator.file(file_id)["attempts"] == 1
    world.notes.append(f"gc ran {rounds} times beside {len(files)} uploads")


def _leave_orphan(world: World, database: Any) -> ObjectId:
    """Insert chunks of a content that has no record, as if they were written an hour ago; return the content's id."""
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    orphan = content_id_of(hour_ago)
    chunks = [{"files_id": orphan, "n": n, "data": b"x", "digest": b"y" * 32} for n in range(5)]
    database["fs.chunks"].insert_many(chunks)
    return orphan


def _all_delivered(world: World, count: int) -> bool:
    with world.operator.database() as database:
        return bool(database["deliveries"].count_documents({"state": "DELIVERED"}) == count)


class _LateSegment:
    """A segment of an open content whose body stops at a random byte, until `go_on` is set."""

    def __init__(self, world: World, writer: ChunkWriter) -> None:
        self.first = 3 * SEGMENT_CHUNKS + world.rng.randrange(SEGMENT_CHUNKS - 4)
        self.chunks = [world.rng.randbytes(MIB) for _ in range(4)]
        self.half_sent = threading.Event()
        self.go_on = threading.Event()
        self._writer = writer
        self._cut = world.rng.randrange(1, 4 * MIB)

    def send(self) -> httpx2.Response:
        body = b"".join(self.chunks)

        def parts() -> Iterator[bytes]:
            yield body[: self._cut]
            self.half_sent.set()
            self.go_on.wait(STRIKE_SECONDS)
            yield body[self._cut :]

        headers = self._writer.headers(self.chunks) | {"Content-Length": str(len(body))}
        return self._writer.request("PUT", f"chunks/{self.first}", content=parts(), headers=headers)


def _send_to_segment(world: World, first: int) -> tuple[str, ObjectId]:
    """Send a file whose worker's request stops within the segment that begins with chunk `first`.

    A worker sends two segments at once, so wait until all others are stored: then only this one is on its way. Return
    the ids of the file and of its content.
    """
    stall = Stall(side=Side.REQUEST, after_bytes=world.rng.randrange(1, MIB), seconds=FOREVER)
    planned = world.proxies["chunk_service"].plan(stall, method="PUT", part_of_target=f"/chunks/{first}")
    file_id = world.send(world.make_file(SEGMENTS * SEGMENT_CHUNKS * MIB), to="hashed")
    planned.wait(STRIKE_SECONDS)
    content_id = ObjectId(world.record("files", file_id)["content_id"])
    others = (SEGMENTS - 1) * SEGMENT_CHUNKS
    with world.operator.database() as database:
        stored = lambda: database["fs.chunks"].count_documents({"files_id": content_id}) == others  # noqa: E731
        wait_for(stored, seconds=STRIKE_SECONDS, what=f"{others} chunks are stored, all but one segment")
    return file_id, content_id


def _killed_in_the_middle(world: World, database: Any) -> tuple[StoredFile, ObjectId]:
    """Return a file whose delete a child had begun when it was killed, and the id of its content.

    Several files are tried, because a delete is short.
    """
    for _ in range(KILLS_TRIED_AT_MOST):
        file = StoredFile.make(world, LARGE_BYTES)
        content_id = file.content_id
        _delete(world, file.file_id)
        child = _deleting_child(database, file.file_id)
        time.sleep(world.rng.uniform(0, 0.05))  # a random moment, not a wait for a condition
        child.kill()
        child.wait(STRIKE_SECONDS)
        if world.record("files", file.file_id)["state"] == "DELETING":
            return file, content_id
    raise AssertionError(f"{KILLS_TRIED_AT_MOST} files were all deleted before the kill")


def _deleting_child(database: Any, file_id: str) -> psutil.Process:
    """Return the child that has claimed the delete. The loop looks without a pause, because a delete is short."""
    deadline = time.monotonic() + STRIKE_SECONDS
    while time.monotonic() < deadline:
        record = database["files"].find_one({"_id": ObjectId(file_id)})
        if "lease_holder" in record and record["attempts"]:
            return psutil.Process(int(record["lease_holder"].rpartition(":")[2]))
    raise AssertionError(f"no worker has claimed the delete of {file_id}")


def _delete(world: World, file_id: str) -> None:
    answer = world.operator.http.delete(f"/files/{file_id}", params={"cancel": "true"})
    assert answer.status_code == 202, answer.text


def _wait_until_deleted(world: World, file_id: str) -> None:
    deleted = lambda: world.operator.file(file_id)["state"] == "DELETED"  # noqa: E731
    wait_for(deleted, seconds=RECOVERY_SECONDS, what=f"file {file_id} is deleted")


def _wait_until_swept(world: World, database: Any, content_id: ObjectId) -> None:
    """Wait until neither bytes nor the record of the content are left. Make the sweep due now, instead of waiting."""

    def swept() -> bool:
        let_sweep_time_pass(world.stand, database)
        return database["contents"].find_one({"_id": content_id}) is None

    wait_for(swept, seconds=RECOVERY_SECONDS, what=f"content {content_id} is swept")
    assert not _bytes_of(database, content_id)


def _bytes_of(database: Any, content_id: ObjectId) -> list[str]:
    """Return the collections that hold bytes of the content."""
    return [name for name, key in PAYLOAD.items() if database[name].find_one({key: content_id}, {"_id": 1})]

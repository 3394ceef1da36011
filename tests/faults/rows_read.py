"""Real errors of reading a source: `strace` makes the system call fail in the worker's processes."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import psutil

from gridhaul.process.settings import WorkerSettings
from tests.faults.catalogue import fault
from tests.faults.traced import injecting
from tests.faults.world import MIB, World, wait_for
from tests.journeys.operator import Json

LENGTH = 80 * MIB  # goes to the queue `large`
MAX_ATTEMPTS = WorkerSettings.model_fields["max_attempts"].default
FILES_AT_MOST = 6
OVER_SECONDS = 60


@fault(
    14,
    stage="store",
    title="EIO from the N-th read on: for a while, and for good",
)
def read_fails(world: World) -> None:
    _fails_for_a_while(world)
    world.proxies["chunk_service"].forget()
    _fails_for_good(world)


def _fails_for_a_while(world: World) -> None:
    """Require that a file whose reads fail for a while is stored without help."""
    first = _random_read(world)
    with _failing_reads(world, first):
        file_id = _failed_once(world, first)
    with world.recovers():
        world.let_wait_pass(file_id)
        world.operator.delivered(file_id, seconds=OVER_SECONDS)
    assert world.operator.file(file_id)["error"] is None


def _fails_for_good(world: World) -> None:
    """Require that a file whose reads keep failing is FAILED after its attempts, and that a retry continues it."""
    first = _random_read(world)
    with _failing_reads(world, first):
        file_id = _failed_once(world, first)
        file = wait_for(lambda: _over(world, file_id), seconds=OVER_SECONDS, what=f"{file_id} is over")
    assert file["state"] == "FAILED", file
    assert file["error"]["code"] == "source_read_failed", file
    before = world.record("files", file_id)
    assert before["fruitless_attempts"] == MAX_ATTEMPTS
    # More than MAX_ATTEMPTS are possible: an attempt that stored something does not count as fruitless.
    assert MAX_ATTEMPTS <= file["attempts"] <= 2 * MAX_ATTEMPTS, file
    world.proxies["chunk_service"].forget()
    with world.recovers():
        answer = world.operator.http.post(f"/files/{file_id}/retry")
        assert answer.is_success, answer.text
        world.operator.delivered(file_id, seconds=OVER_SECONDS)
    assert world.record("files", file_id)["content_id"] == before["content_id"], "the retry began a new content"
    sent = sum(seen.body_bytes for seen in list(world.proxies["chunk_service"].requests) if seen.method == "PUT")
    assert sent <= LENGTH - before["stored_bytes"], f"{sent / MIB} MiB were sent again"


def _failed_once(world: World, first: int) -> str:
    """Return the id of a file of which a read has failed, and require that the chunks before are stored.

    `strace` counts the reads of each thread separately: a file may be read to its end before any thread reaches the
    read that fails. Then the next file is sent. Only of the first file it is certain that some thread has read
    `first` - 1 chunks of it.
    """
    for files_before in range(FILES_AT_MOST):
        file_id = world.send(world.make_file(LENGTH), to="hashed")
        wait_for(lambda read=file_id: _error_or_stored(world, read), seconds=OVER_SECONDS, what="a read has failed")  # type: ignore[misc]
        file = world.operator.file(file_id)
        if file["error"] is not None:
            assert files_before or file["stored_bytes"] >= (first - 1) * MIB, file
            return file_id
    raise AssertionError(f"{FILES_AT_MOST} files were read without an error")


def _error_or_stored(world: World, file_id: str) -> bool:
    file = world.operator.file(file_id)
    return file["error"] is not None or file["state"] == "STORED"


def _over(world: World, file_id: str) -> Json | None:
    """Return the file if it is FAILED or STORED. Make its next attempt due now, instead of waiting for its time."""
    world.let_wait_pass(file_id)
    file = world.operator.file(file_id)
    return file if file["state"] in ("FAILED", "STORED") else None


def _random_read(world: World) -> int:
    return world.rng.randint(1, LENGTH // MIB)


def _failing_reads(world: World, first: int) -> AbstractContextManager[None]:
    """Make the reads of each worker thread fail with EIO, from read number `first` on. Raises NotAllowed."""
    return injecting(_readers(world), calls="pread64", effect=f"error=EIO:when={first}+")


def _readers(world: World) -> Sequence[psutil.Process]:
    return world.process("worker_large").children()

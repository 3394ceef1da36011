"""Faults while a source is stored: its worker is killed or told to stop."""

import os
import signal
from collections.abc import Callable

import psutil

from tests.faults.catalogue import fault
from tests.faults.held import IN_FLIGHT, SEGMENT_BYTES, HeldFile, hold_in_mid_file
from tests.faults.world import MIB, World
from tests.journeys.operator import wait_for
from tests.journeys.processes import settings_of, started

LENGTH = 6 * SEGMENT_BYTES  # goes to the queue `large`
IN_FLIGHT_BYTES = IN_FLIGHT * SEGMENT_BYTES
RECOVERY_SECONDS = 45
STOP_SECONDS = 30
AT_ONCE_SECONDS = 10  # enough for a round of the dispatcher and for the claim


@fault(7, stage="store", title="kill -9 of the worker child in mid-file")
def child_killed(world: World) -> None:
    _killed(world, lambda child: child.kill())


@fault(8, stage="store", title="kill -9 of the worker's parent")
def parent_killed(world: World) -> None:
    held = _half_stored(world)
    with world.recovers():
        world.worker_of(world.holder(held.file_id)).kill()
        held.release()
        world.operator.stored(held.file_id, seconds=RECOVERY_SECONDS)
    _require_stored_once(world, held.file_id)


@fault(8, stage="store", title="kill -9 of the worker's whole process group")
def group_killed(world: World) -> None:
    _killed(world, lambda child: os.killpg(os.getpgid(child.pid), signal.SIGKILL))


@fault(9, stage="store", title="SIGTERM to the worker")
def told_to_stop(world: World) -> None:
    settings = settings_of(world.system) | {"GRIDHAUL_CHUNK_SERVICE_URL": world.proxies["chunk_service"].url}
    settings |= {"GRIDHAUL_LEASE_SECONDS": "6", "GRIDHAUL_RENEW_SECONDS": "2"}
    heartbeat = world.stand.root / "second-heartbeat"
    heartbeat.unlink(missing_ok=True)
    settings["GRIDHAUL_HEARTBEAT_FILE"] = str(heartbeat)
    second = ("celery", "-A", "tasks.celery", "worker", "-Q", "large", "-n", "second@%h", "--concurrency", "1")
    with started(second, settings, world.stand.logs / "second.log"):
        wait_for(heartbeat.exists, seconds=30, what="the second worker is ready")
        held = _half_stored(world)
        file_id = held.file_id
        fence = world.record("files", file_id)["fence"]
        begun = _begun(world, fence)
        with world.recovers():
            _stop(world.worker_of(world.holder(file_id)))
            world.taken_over("files", file_id, fence=fence, seconds=AT_ONCE_SECONDS)
        held.release()
        _require_released(world, file_id, fence)
        assert _begun(world, fence) == begun, "the worker began another segment after it was told to stop"
        file = world.operator.stored(file_id)
    assert world.record("files", file_id)["fruitless_attempts"] == 0
    assert file["attempts"] == 2
    _require_stored_once(world, file_id)


def _killed(world: World, kill: Callable[[psutil.Process], None]) -> None:
    """Kill the child in mid-file; require that a second attempt goes on there, and repeats only segments in flight."""
    held = _half_stored(world)
    file_id = held.file_id
    before = world.record("files", file_id)
    with world.recovers():
        kill(world.holder(file_id))
        held.release()
        world.taken_over("files", file_id, fence=before["fence"], seconds=RECOVERY_SECONDS)
    world.operator.stored(file_id)
    after = world.record("files", file_id)
    assert after["content_id"] == before["content_id"], "the second attempt began a new content"
    assert after["attempts"] == 2
    _require_stored_once(world, file_id)


def _half_stored(world: World) -> HeldFile:
    """Return a file that is half stored, with the segments in flight held half sent."""
    after_bytes = world.rng.randrange(1, SEGMENT_BYTES)
    return hold_in_mid_file(world, world.make_file(LENGTH), to="hashed", after_bytes=after_bytes)


def _require_stored_once(world: World, file_id: str) -> None:
    """Require that no byte was sent twice, except of segments in flight, and that the file is delivered."""
    sent = sum(seen.body_bytes for seen in list(world.proxies["chunk_service"].requests) if seen.method == "PUT")
    assert LENGTH <= sent <= LENGTH + IN_FLIGHT_BYTES, f"{sent / MIB} MiB were sent of {LENGTH / MIB}"
    world.operator.delivered(file_id)


def _stop(worker: psutil.Process) -> None:
    """Stop the worker as a deployment does: by SIGTERM to the parent alone.

    The worker does not wait for the segments in flight, which the proxy holds.
    """
    worker.terminate()
    worker.wait(STOP_SECONDS)


def _require_released(world: World, file_id: str, fence: int) -> None:
    """Require, by the logs, that the stopped worker gave its lease back before the lease ran out."""
    events = [*world.events("second"), *world.events("worker_large")]
    stopped = [event for event in events if event["event"] == "stopped"]
    assert [(event["record_id"], event["fence"]) for event in stopped if event["record_id"] == file_id] == [
        (file_id, fence)
    ]
    reason = f"record {file_id}, fence {fence}"
    assert not [event for event in events if event["event"] == "end_not_written" and event["reason"] == reason]


def _begun(world: World, fence: int) -> int:
    """Return how many segments the worker with this fence began to send."""
    requests = list(world.proxies["chunk_service"].requests)
    return sum(seen.method == "PUT" and seen.headers.get("lease-fence") == str(fence) for seen in requests)

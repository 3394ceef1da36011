"""The chunk service stands still: the worker gives up and sends again, and no process keeps more memory."""

import http
from pathlib import Path

import psutil

from tests.faults.catalogue import fault
from tests.faults.world import MIB, World, wait_for
from tests.servers.disturbances import Side, Stall
from tests.servers.proxy import Seen

SEGMENT_BYTES = 16 * MIB
SEGMENTS = 8
AT_ONCE = 4
ANSWER_SECONDS = 4.0
LONGER_SECONDS = 6.0
DELIVERED_SECONDS = 60
GROWTH_BYTES = 32 * MIB  # less than four stalled segments that are never freed

IMPATIENT = {
    "GRIDHAUL_ANSWER_SECONDS": str(ANSWER_SECONDS),
    "GRIDHAUL_STALL_SECONDS": "2",
    "GRIDHAUL_SEGMENTS_IN_FLIGHT": str(AT_ONCE),
    "GRIDHAUL_INTAKE_MEMORY_BYTES": str(AT_ONCE * SEGMENT_BYTES),
}


@fault(
    19,
    stage="send",
    title="the chunk service stalls: stopped, and with segments half sent",
    settings=IMPATIENT,
    alone=True,  # beside another lane the undisturbed file leaves a lower peak to compare with
)
def service_stalls(world: World) -> None:
    undisturbed = world.send(world.make_file(SEGMENTS * SEGMENT_BYTES), to="hashed")
    world.operator.delivered(undisturbed, seconds=DELIVERED_SECONDS)
    proxy = world.proxies["chunk_service"]
    proxy.forget()
    before = _peaks(world)
    for segment in range(AT_ONCE, SEGMENTS):
        after = world.rng.randrange(SEGMENT_BYTES * 3 // 4, SEGMENT_BYTES)
        stall = Stall(side=Side.REQUEST, after_bytes=after, seconds=LONGER_SECONDS)
        proxy.plan(stall, method="PUT", part_of_target=_target(segment))
    with world.recovers():
        with world.paused(world.process("chunk_service")):
            file_id = world.send(world.make_file(SEGMENTS * SEGMENT_BYTES), to="hashed")
            repeated = f"a segment is sent again after {ANSWER_SECONDS} s"
            wait_for(lambda: bool(_repeats(world)), seconds=DELIVERED_SECONDS, what=repeated)
        world.operator.delivered(file_id, seconds=DELIVERED_SECONDS)
    _require_timed_out(world)
    for name, peak in _peaks(world).items():
        grown = peak - before[name]
        world.notes.append(f"{name} grew by {grown / MIB:.0f} MiB over {before[name] / MIB:.0f}")
        assert grown < GROWTH_BYTES, f"{name} grew by {grown / MIB:.0f} MiB over {before[name] / MIB:.0f}"


def _require_timed_out(world: World) -> None:
    """Require that the service gave up half-sent segments, and the worker segments without an answer."""
    for segment in range(SEGMENTS):
        first, *repeats = _seen(world, segment)
        assert repeats or segment < AT_ONCE, f"segment {segment} was not sent again"
        assert (repeats or [first])[-1].status in (http.HTTPStatus.OK, http.HTTPStatus.CREATED)
        if segment >= AT_ONCE:
            assert first.status == http.HTTPStatus.REQUEST_TIMEOUT, f"{first}"
    waited = min(again.at - first.at for first, again, *_ in _repeats(world))
    assert waited >= ANSWER_SECONDS


def _repeats(world: World) -> list[list[Seen]]:
    """Return the requests of each segment that was sent again while the service was stopped."""
    return [seen for seen in (_seen(world, segment) for segment in range(AT_ONCE)) if len(seen) > 1]


def _seen(world: World, segment: int) -> list[Seen]:
    return [seen for seen in list(world.proxies["chunk_service"].requests) if seen.target.endswith(_target(segment))]


def _target(segment: int) -> str:
    return f"/chunks/{segment * 16}"


def _peaks(world: World) -> dict[str, int]:
    """Return the highest memory, in bytes, that the chunk service and a child of the worker ever had."""
    children = world.process("worker_large").children()
    return {"chunk_service": _peak(world.process("chunk_service")), "worker": max(map(_peak, children))}


def _peak(process: psutil.Process) -> int:
    """Return the highest resident memory of the process, in bytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (kib,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kib) * 1024

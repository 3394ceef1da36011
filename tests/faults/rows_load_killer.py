"""A file that kills its worker every time, beside a file whose worker is killed often, with progress between."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.faults.catalogue import fault
from tests.faults.world import MIB, World, wait_for
from tests.servers.disturbances import Side, Stall
from tests.servers.proxy import Planned

MAX_ATTEMPTS = 3
KILLS = 5  # more than the attempts that may be fruitless
SEGMENT_CHUNKS = 4
SEGMENTS_AN_ATTEMPT = 2  # at most so many segments pass
SETTINGS = {
    "GRIDHAUL_LEASE_SECONDS": "2",
    "GRIDHAUL_RENEW_SECONDS": "0.5",
    "GRIDHAUL_DISPATCH_SECONDS": "0.5",
    "GRIDHAUL_MAX_ATTEMPTS": str(MAX_ATTEMPTS),
    "GRIDHAUL_SEGMENT_CHUNKS": str(SEGMENT_CHUNKS),
    "GRIDHAUL_LARGE_FILE_BYTES": str(16 * MIB),
}
TITLE = "a file that kills its worker every time, and one whose worker is killed {kills} times with progress between"
RECOVERY_SECONDS = 60
OFTEN = 1_000_000
BEFORE_THE_HEAD = Stall(side=Side.REQUEST, after_bytes=0, seconds=float("inf"))


@fault(32, stage="load", title=TITLE.format(kills=KILLS), settings=SETTINGS)
def workers_killed(world: World) -> None:
    _kill_workers(world, kills=KILLS)


@fault("killed-20", stage="load", title=TITLE.format(kills=20), settings=SETTINGS, only_when_named=True)
def workers_killed_often(world: World) -> None:
    _kill_workers(world, kills=20)


def _kill_workers(world: World, *, kills: int) -> None:
    with ThreadPoolExecutor(1) as pool:
        killer, held = _killer(world)
        lost = pool.submit(_kill_until_failed, world, killer, held)
        large = _killed_with_progress(world, kills)
        lost.result()
    world.proxies["chunk_service"].reset_all()  # end the requests that the killed children began
    failed = world.operator.file(killer)
    assert (failed["state"], failed["error"]["code"]) == ("FAILED", "worker_lost"), failed
    assert failed["attempts"] == MAX_ATTEMPTS + 1, failed
    assert failed["stored_bytes"] == 0, failed
    assert world.operator.file(large)["attempts"] > kills
    _require_stored_once(world, large)


def _killer(world: World) -> tuple[str, Planned]:
    """Prepare a file that is never stored: the proxy holds its requests, with other files or alone.

    Return its id and the plan of the proxy.
    """
    proxy = world.proxies["chunk_service"]
    first = proxy.plan(BEFORE_THE_HEAD, method="POST", part_of_target="/contents")
    file_id = world.operator.prepare(world.make_file(MIB))
    first.wait(RECOVERY_SECONDS)
    content_id = str(world.record("files", file_id)["content_id"])
    held = proxy.plan(BEFORE_THE_HEAD, method="PUT", part_of_target=content_id, times=OFTEN)
    return file_id, held


def _kill_until_failed(world: World, file_id: str, held: Planned) -> None:
    """Kill each child that begins to send the file, until the file is FAILED."""
    world.holder(file_id).kill()
    for _ in range(1, MAX_ATTEMPTS):
        again = partial(_more_hits, held, held.hits)
        wait_for(again, seconds=RECOVERY_SECONDS, what="the file is tried again")
        world.holder(file_id).kill()
    failed = lambda: world.operator.file(file_id)["state"] == "FAILED"  # noqa: E731
    wait_for(failed, seconds=RECOVERY_SECONDS, what="the file has failed")


def _more_hits(planned: Planned, before: int) -> bool:
    return planned.hits > before


def _killed_with_progress(world: World, kills: int) -> str:
    """Let a few segments of a file pass, then kill its child, `kills` times; then let the file be delivered.

    Return the file's id.
    """
    proxy = world.proxies["chunk_service"]
    source = world.make_file((SEGMENTS_AN_ATTEMPT * kills + 3) * SEGMENT_CHUNKS * MIB)
    plan = _let_some_pass(world)
    file_id = world.send(source, to="hashed")
    fence, stored = 0, 0
    for left in reversed(range(kills)):
        fence, stored = _wait_for_progress(world, file_id, fence, stored)
        world.holder(file_id).kill()
        proxy.plans.remove(plan)
        if left:
            plan = _let_some_pass(world)
    with world.recovers():
        world.operator.delivered(file_id, seconds=RECOVERY_SECONDS)
    return file_id


def _let_some_pass(world: World) -> Planned:
    skip = world.rng.randint(1, SEGMENTS_AN_ATTEMPT)
    return world.proxies["chunk_service"].plan(BEFORE_THE_HEAD, method="PUT", skip=skip, times=OFTEN)


def _wait_for_progress(world: World, file_id: str, fence: int, stored: int) -> tuple[int, int]:
    """Wait until a new attempt has stored more than before; return its fence and how many bytes are stored."""

    def look() -> tuple[int, int] | None:
        record = world.record("files", file_id)
        assert record["state"] != "FAILED", record
        new = "lease_until" in record and record["fence"] > fence and record.get("stored_bytes", 0) > stored
        return (record["fence"], record["stored_bytes"]) if new else None

    return wait_for(look, seconds=RECOVERY_SECONDS, what=f"more than {stored} bytes are stored")


def _require_stored_once(world: World, file_id: str) -> None:
    """Require that no segment was answered 201 (stored as new) twice."""
    content_id = str(world.record("files", file_id)["content_id"])
    requests = list(world.proxies["chunk_service"].requests)
    stored = Counter(seen.target for seen in requests if content_id in seen.target and seen.status == 201)
    again = [target for target, count in stored.items() if "/chunks/" in target and count > 1]
    assert not again, again

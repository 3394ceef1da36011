"""Faults of batches while members are stored and delivered: worker children and whole workers are killed."""

import os
import signal
from collections.abc import Callable, Sequence

import psutil

from tests.faults.batches import SMALL_BYTES, SentBatch, Tree, make_tree, small_lengths
from tests.faults.catalogue import fault
from tests.faults.held import IN_FLIGHT, SEGMENT_BYTES
from tests.faults.stored import StoredFile
from tests.faults.world import WORKERS, World, wait_for
from tests.servers.disturbances import Hold, Side, Stall

SMALL_FILES = 200
LARGE_BYTES = 6 * SEGMENT_BYTES  # goes to the queue `large`
STREAMS = 5  # deliveries that stand still together
HELD_SECONDS = 60
FOREVER = float("inf")
WEBDAV = ("hashed", "webdav")

Kill = Callable[[psutil.Process], object]


@fault(7, stage="store", title="batch: kill -9 of the children in mid-bundle and in mid-file")
def children_killed(world: World) -> None:
    _killed_while_storing(world, _kill_all)


@fault(8, stage="store", title="batch: kill -9 of one worker's parent and of the other's process group")
def workers_killed(world: World) -> None:
    kills = world.rng.sample([_kill_parent, _kill_group], 2)

    def kill_workers(_: Sequence[psutil.Process]) -> None:
        for kill, worker in zip(kills, WORKERS, strict=True):
            kill(world.process(worker))

    _killed_while_storing(world, kill_workers)


@fault(25, stage="finalize", title="batch: kill -9 of children while several deliveries of each stream together")
def children_killed_while_streaming(world: World) -> None:
    _killed_while_streaming(world, _kill_children)


@fault(25, stage="finalize", title="batch: kill -9 of whole workers while several deliveries stream together")
def groups_killed_while_streaming(world: World) -> None:
    _killed_while_streaming(world, _kill_group)


def _killed_while_storing(world: World, kill: Callable[[Sequence[psutil.Process]], object]) -> None:
    """Kill while a bundle, and segments of a large file, are held on the way to the chunk service."""
    segments = Hold(side=Side.REQUEST, after_bytes=world.rng.randrange(1, SEGMENT_BYTES))
    large = _start_held(world, make_tree(world, [LARGE_BYTES]), segments, method="PUT", times=IN_FLIGHT)
    # A bundle is given up after some seconds, so it begins last.
    bundles = Hold(side=Side.REQUEST, after_bytes=world.rng.randrange(100_000))
    small = _start_held(world, make_tree(world, small_lengths(world, SMALL_FILES)), bundles, method="POST", times=1)
    holders = small.holders("files") | large.holders("files")
    held = [member for members in holders.values() for member in members]
    assert max(map(len, holders.values())) > 1, "no bundle was on its way"
    with world.recovers():
        kill([*holders])
        segments.release()
        bundles.release()
        for batch in (small, large):
            batch.whole()
    _require_taken_over(world, "files", held, least=2)
    _require_large_resumed(world, held)


def _start_held(world: World, tree: Tree, hold: Hold, *, method: str, times: int) -> SentBatch:
    """Start a batch, and wait until the proxy before the chunk service holds so many of its requests."""
    planned = world.proxies["chunk_service"].plan(hold, method=method, skip=world.rng.randrange(1, 3), times=times)
    batch = SentBatch.start(world, tree, to=("directory", "hashed"))
    wait_for(lambda: planned.hits == times, seconds=HELD_SECONDS, what=f"{times} requests are held")
    return batch


def _require_large_resumed(world: World, held: Sequence[dict[str, object]]) -> None:
    """Require that the large file's next attempt went on with its content, and repeated only segments in flight."""
    (before,) = [member for member in held if member["length"] == LARGE_BYTES]
    after = world.record("files", str(before["_id"]))
    assert (after["content_id"], after["attempts"]) == (before["content_id"], 2)
    requests, segments = list(world.proxies["chunk_service"].requests), f"/{before['content_id']}/chunks/"
    sent = sum(seen.body_bytes for seen in requests if seen.method == "PUT" and segments in seen.target)
    assert LARGE_BYTES <= sent <= LARGE_BYTES + IN_FLIGHT * SEGMENT_BYTES, f"{sent} bytes were sent of the large file"


def _killed_while_streaming(world: World, kill: Kill) -> None:
    """Kill both workers while deliveries of small files, and one of a large file, stand still at random bytes."""
    target = world.rng.choice(WEBDAV)
    StoredFile.make(world, 1).deliver(target, folder="before").delivered()  # deliveries go together to a known target
    lengths = [world.rng.randrange(50_000, SMALL_BYTES) for _ in range(SMALL_FILES)]
    batches = [
        _start_stalled(world, make_tree(world, [LARGE_BYTES]), target, most_bytes=LARGE_BYTES, skip=0, times=1),
        _start_stalled(world, make_tree(world, lengths), target, most_bytes=50_000, skip=60, times=STREAMS),
    ]
    leased = {"lease_until": {"$exists": True}, "target": target}
    held = [member for batch in batches for member in batch.members("deliveries", **leased)]
    assert len(held) > STREAMS, "the deliveries did not stream together"
    with world.recovers():
        for name in WORKERS:
            kill(world.process(name))
        world.proxies[target].plans.clear()
        world.proxies[target].reset_all()
        for batch in batches:
            batch.whole()
    _require_taken_over(world, "deliveries", held, least=STREAMS)


def _start_stalled(world: World, tree: Tree, target: str, *, most_bytes: int, skip: int, times: int) -> SentBatch:
    """Start a batch; wait until so many of its objects stand still on their way, after `skip` others or fewer."""
    stall = Stall(side=Side.REQUEST, after_bytes=world.rng.randrange(most_bytes), seconds=FOREVER)
    planned = world.proxies[target].plan(
        stall, method="PUT", part_of_target=f"/{tree.path.name}/", skip=world.rng.randint(0, skip), times=times
    )
    batch = SentBatch.start(world, tree, to=(target, "directory"))
    wait_for(lambda: planned.hits == times, seconds=HELD_SECONDS, what=f"{times} objects stand still")
    return batch


def _require_taken_over(world: World, collection: str, held: Sequence[dict[str, object]], *, least: int) -> None:
    """Require that the kill hit so many of the members: another claim of them followed."""
    fences = [(before["fence"], world.record(collection, str(before["_id"]))["fence"]) for before in held]
    taken_over = sum(after > before for before, after in fences)
    assert taken_over >= least, f"only {taken_over} of {len(held)} members were held by workers that were killed"


def _kill_all(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        process.kill()


def _kill_children(worker: psutil.Process) -> None:
    _kill_all(worker.children())


def _kill_parent(worker: psutil.Process) -> None:
    worker.kill()


def _kill_group(worker: psutil.Process) -> None:
    os.killpg(os.getpgid(worker.pid), signal.SIGKILL)

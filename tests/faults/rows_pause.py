"""A worker stands still for twice its lease, storing or delivering, and wakes when another has done its work."""

import time
from dataclasses import dataclass

import psutil

from gridhaul.process.settings import WorkerSettings
from tests.faults.catalogue import fault
from tests.faults.held import SEGMENT_BYTES, HeldFile, hold_in_mid_file
from tests.faults.stand import SHORT_LEASES
from tests.faults.world import MIB, World, wait_for
from tests.servers.disturbances import Hold, Side
from tests.servers.proxy import Seen

STORED_LENGTH = 6 * SEGMENT_BYTES  # goes to the queue `large`
SENT_LENGTH = 48 * MIB  # goes to the queue `small`, so that each worker has a child left
RECOVERY_SECONDS = 45
SHORT_LEASE_SECONDS = float(SHORT_LEASES["GRIDHAUL_LEASE_SECONDS"])
DEFAULT_LEASE_SECONDS = float(WorkerSettings.model_fields["lease_seconds"].default)
NOTICED_SECONDS = 30
BLOCK_BYTES = MIB  # the size of each block that a worker hands to its sending thread


@dataclass(frozen=True, kw_only=True)
class Stale:
    """A stopped child, and the record that it held when it was stopped."""

    collection: str
    record_id: str
    fence: int
    child: psutil.Process
    worker: str


@fault(
    10, stage="store, deliver", title="SIGSTOP of a storing and a delivering child for twice the lease, then SIGCONT"
)
def stopped_and_continued(world: World) -> None:
    wake_after_twice_the_lease(world, SHORT_LEASE_SECONDS)


def wake_after_twice_the_lease(world: World, lease_seconds: float) -> None:
    sent, delivering, hold = _half_sent(world)
    with world.paused(delivering.child):
        hold.release()
        held, storing = _half_stored(world)
        stored = held.file_id
        with world.paused(storing.child):
            held.release()
            until = time.monotonic() + 2 * lease_seconds
            with world.recovers():
                for stale in (storing, delivering):
                    world.taken_over(stale.collection, stale.record_id, fence=stale.fence, seconds=RECOVERY_SECONDS)
            world.operator.delivered(sent)
            time.sleep(max(0.0, until - time.monotonic()))  # the length of the fault, not a wait for a condition
            before = _body_bytes(world, delivering)
    woke_at = time.monotonic()
    for stale in (storing, delivering):
        _require_noticed(world, stale)
    _require_untouched(world, delivering, woke_at, before)
    _require_refused(world, storing, woke_at)
    for file_id in (sent, stored):
        assert world.operator.delivered(file_id)["attempts"] <= 2


def _half_sent(world: World) -> tuple[str, Stale, Hold]:
    """Return a file's id, its delivery whose body is on its way, and the hold by which the proxy stops the body."""
    file_id = world.operator.prepare(world.make_file(SENT_LENGTH))
    sha256 = world.operator.stored(file_id)["digests"]["sha-256"]
    after = world.rng.randrange(MIB, SENT_LENGTH - 32 * MIB)
    hold = Hold(side=Side.REQUEST, after_bytes=after)
    held = world.proxies["hashed"].plan(hold, method="PUT")
    world.operator.finalize(file_id, sha256, "hashed")
    held.wait(30)
    delivery = world.delivery_of(file_id)
    stale = Stale(
        collection="deliveries",
        record_id=str(delivery["_id"]),
        fence=delivery["fence"],
        child=world.holder(file_id),
        worker="worker_small",
    )
    return file_id, stale, hold


def _half_stored(world: World) -> tuple[HeldFile, Stale]:
    after_bytes = world.rng.randrange(1, SEGMENT_BYTES)
    held = hold_in_mid_file(world, world.make_file(STORED_LENGTH), to="webdav", after_bytes=after_bytes)
    return held, Stale(
        collection="files",
        record_id=held.file_id,
        fence=world.record("files", held.file_id)["fence"],
        child=world.holder(held.file_id),
        worker="worker_large",
    )


def _require_noticed(world: World, stale: Stale) -> None:
    """Require that the woken worker logs that it lost its lease, or that it could not write the end of its attempt."""
    reason = f"record {stale.record_id}, fence {stale.fence}"

    def noticed() -> bool:
        for event in world.events(stale.worker):
            lost = (event["event"], event.get("record_id"), event.get("fence"))
            refused = (event["event"], event.get("reason"))
            if lost == ("lease_lost", stale.record_id, stale.fence) or refused == ("end_not_written", reason):
                return True
        return False

    wait_for(noticed, seconds=NOTICED_SECONDS, what=f"the worker of {stale.record_id} notices that it lost its lease")


def _require_untouched(world: World, stale: Stale, woke_at: float, before: int) -> None:
    """Require that the woken worker began no request to the target, and gave up the request that was under way.

    One block of that request may have left: the sending thread already had the block, and cannot take a write back.
    """
    late = [seen for seen in _in_the_name_of(world, stale) if seen.at > woke_at]
    assert not late, f"the woken worker sent requests: {late}"
    more = _body_bytes(world, stale) - before
    assert more <= BLOCK_BYTES, f"the woken worker sent {more} bytes"


def _body_bytes(world: World, stale: Stale) -> int:
    """Return how many bytes of the stale worker's temporary object have passed the proxy."""
    return sum(seen.body_bytes for seen in _in_the_name_of(world, stale))


def _in_the_name_of(world: World, stale: Stale) -> list[Seen]:
    """Return the requests that name the stale worker's temporary object."""
    name = f".gridhaul-{stale.record_id}-{stale.fence}.part"
    return [seen for seen in _requests(world, "hashed") if name in seen.target]


def _require_refused(world: World, stale: Stale, woke_at: float) -> None:
    """Require that the chunk service took no request that the woken worker sent."""
    late = [
        seen
        for seen in _requests(world, "chunk_service")
        if seen.headers.get("lease-fence") == str(stale.fence) and seen.at > woke_at
    ]
    refused_or_given_up = {404, 409, None}
    assert {seen.status for seen in late} <= refused_or_given_up, f"a request of the woken worker was taken: {late}"


def _requests(world: World, proxy: str) -> list[Seen]:
    return list(world.proxies[proxy].requests)

"""A worker that stands still for twice its lease, storing or delivering, and wakes when another has done its work."""

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

STORED_LENGTH = 6 * SEGMENT_BYTES  # the queue `large`
SENT_LENGTH = 48 * MIB  # the queue `small`: each worker has a child left
RECOVERY_SECONDS = 45
SHORT_LEASE_SECONDS = float(SHORT_LEASES["GRIDHAUL_LEASE_SECONDS"])
DEFAULT_LEASE_SECONDS = float(WorkerSettings.model_fields["lease_seconds"].default)
NOTICED_SECONDS = 30
BLOCK_BYTES = MIB  # what a worker hands to its sending thread at once


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
            time.sleep(max(0.0, until - time.monotonic()))  # the fault itself, not a wait for something
            before = _body_bytes(world, delivering)
    woke_at = time.monotonic()
    for stale in (storing, delivering):
        _require_noticed(world, stale)
    _require_untouched(world, delivering, woke_at, before)
    _require_refused(world, storing, woke_at)
    for file_id in (sent, stored):
        assert world.operator.delivered(file_id)["attempts"] <= 2


def _half_sent(world: World) -> tuple[str, Stale, Hold]:
    """A delivery whose body is on its way; the proxy holds it."""
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
    """The one that woke says that it lost its lease, or that the end of its attempt was not taken from it."""
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
    """Nothing was begun at the target in the stale one's name, and what was under way was given up.

    Of that, the block that its sending thread already had in hand may have left: a write cannot be taken back.
    """
    late = [seen for seen in _in_the_name_of(world, stale) if seen.at > woke_at]
    assert not late, f"after it woke: {late}"
    more = _body_bytes(world, stale) - before
    assert more <= BLOCK_BYTES, f"after it woke it sent {more} bytes"


def _body_bytes(world: World, stale: Stale) -> int:
    """How much of the stale one's temporary object has passed the proxy."""
    return sum(seen.body_bytes for seen in _in_the_name_of(world, stale))


def _in_the_name_of(world: World, stale: Stale) -> list[Seen]:
    """Requests that name the stale one's temporary object."""
    name = f".gridhaul-{stale.record_id}-{stale.fence}.part"
    return [seen for seen in _requests(world, "hashed") if name in seen.target]


def _require_refused(world: World, stale: Stale, woke_at: float) -> None:
    """What the stale one still sent to the chunk service was not taken."""
    late = [
        seen
        for seen in _requests(world, "chunk_service")
        if seen.headers.get("lease-fence") == str(stale.fence) and seen.at > woke_at
    ]
    refused_or_given_up = {404, 409, None}
    assert {seen.status for seen in late} <= refused_or_given_up, f"after it woke: {late}"


def _requests(world: World, proxy: str) -> list[Seen]:
    return list(world.proxies[proxy].requests)

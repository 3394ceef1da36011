"""Workers killed by `kill -9` at a random byte: the next attempt goes on with the stage, or begins anew and says so.

`make faults ONLY=36 RUNS=5 SIZE=1GiB` measures how much is sent twice of files of that length.
"""

import os
import signal
from collections.abc import Callable, Container, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tests.faults.catalogue import fault
from tests.faults.protocols import PART_BYTES, S3, sending
from tests.faults.stored import SentDelivery, StoredFile
from tests.faults.struck import Strike
from tests.faults.traced import injecting, returned
from tests.faults.world import MIB, WORKERS, World, wait_for
from tests.journeys.operator import Json

SHORT = 72 * MIB
LONG = 256 * MIB
FIRST_BYTES = 8 * MIB  # have left before a worker is killed whose attempt must be listed in the receipt
# Bytes that may be sent again: docs/targets.md, "What is sent twice". Targets that are not here begin anew.
AGAIN = {"directory": MIB, "apache": 16 * MIB, "sftp": 33 * MIB, "s3": 80 * MIB, "seaweedfs": 80 * MIB}
STRIKE_SECONDS = 30
RECOVERY_SECONDS = 45
SLOWEST_BYTES_A_SECOND = 10 * MIB  # of a busy machine, to store, to send or to read back
WRITING_SECONDS = 4.0  # of a whole object into a directory, if it is written slowly


def nothing(_: SentDelivery) -> None:
    """Do nothing with the delivery."""


@dataclass(frozen=True, kw_only=True)
class Killed:
    """A delivery whose worker was killed when `at` bytes had come to its target."""

    delivery: SentDelivery
    length: int
    at: int
    threads: Container[int] = ()  # ids of the killed process's threads, if its writes are traced

    def recovered(self) -> Json:
        """Return the receipt of the next attempt, which must be the one that delivers."""
        world = self.delivery.world
        with world.recovers():
            view = self.delivery.delivered(seconds=RECOVERY_SECONDS + patience(self.length))
        assert view["attempts"] == 2, view
        return dict(view["receipt"])

    def require_sent_twice(self, came: int, *, at_most: int) -> None:
        """Require that of all bytes that came to the target at most so many came again, and note the figures."""
        twice = came - self.length
        self.delivery.world.notes.append(
            f"{self.delivery.target}: file of {self.length} bytes, killed at {self.at}, "
            f"sent twice {twice}, at most {at_most}"
        )
        assert 0 <= twice <= at_most, f"{twice} bytes were sent twice"


@fault(36, stage="finalize", title="directory: kill -9 at a random byte, the next attempt goes on from there")
def killed_at_a_random_byte_of_a_directory(world: World) -> None:
    length = world.size or SHORT
    log = world.stand.root / "writes"
    workers = [world.process(name) for name in WORKERS]
    with slow_writes(length, [process for one in workers for process in (one, *one.children())], log=log):
        killed = kill_while_writing(world, length)
        killed.recovered()
    came = killed.at + returned(log, of=killed.delivery.delivery_id, but=killed.threads)
    killed.require_sent_twice(came, at_most=AGAIN["directory"])


@fault(36, stage="finalize", title="webdav (Apache): kill -9 at a random byte, the next attempt goes on from there")
def killed_at_a_random_byte_of_apache(world: World) -> None:
    _require_goes_on(world, "apache", beginning=MIB)


@fault(36, stage="finalize", title="sftp: kill -9 at a random byte, the next attempt goes on from there")
def killed_at_a_random_byte_of_sftp(world: World) -> None:
    _require_goes_on(world, "sftp")


@fault(36, stage="finalize", title="s3 (rclone): kill -9 at a random byte, the next attempt goes on from there")
def killed_at_a_random_byte_of_s3(world: World) -> None:
    _require_goes_on(world, "s3")


@fault(36, stage="finalize", title="s3 (SeaweedFS): kill -9 at a random byte, the next attempt goes on from there")
def killed_at_a_random_byte_of_seaweedfs(world: World) -> None:
    world.start_seaweedfs()
    _require_goes_on(world, "seaweedfs")


@fault(
    36, stage="finalize", title="s3 (rclone): kill -9, the server restarts and forgets: begun anew, as the receipt says"
)
def killed_before_a_restart_of_s3(world: World) -> None:
    _require_begins_anew(world, "s3", before_the_next=lambda _: world.stand.rclone_bucket.restart())


@fault(36, stage="finalize", title="webdav: kill -9 at a random byte, begun anew, as the receipt says")
def killed_at_a_random_byte_of_webdav(world: World) -> None:
    receipt = _require_begins_anew(world, "webdav")
    assert receipt["abilities"]["resumable"] is False


def kill_at_a_random_byte(
    world: World,
    target: str,
    length: int,
    *,
    beginning: int = 0,
    before: Callable[[SentDelivery], object] = nothing,
    before_the_next: Callable[[SentDelivery], object] = nothing,
) -> Killed:
    """Kill the worker of a new delivery when a random byte comes to the target, which is none before `beginning`.

    That is a worker child alone, or the worker with all its children. `before` runs while the byte waits, and
    `before_the_next` while the worker child is stopped, so no other attempt begins before it has ended.
    """
    file = StoredFile.make(world, length, seconds=STRIKE_SECONDS + patience(length))
    sent = Future[SentDelivery]()
    kill = world.rng.choice([_kill_child, _kill_worker])

    def act() -> int:
        delivery = sent.result(STRIKE_SECONDS)
        before(delivery)
        child = delivery.holder()
        child.suspend()
        before_the_next(delivery)
        came = bytes_that_came(delivery)
        kill(world, child)
        return came

    strike = Strike(at_byte=world.rng.randrange(beginning, length), act=act)
    _plan(world, target, strike)
    sent.set_result(file.deliver(target, folder=f"at{strike.at_byte}"))
    return Killed(delivery=sent.result(), length=length, at=strike.result(STRIKE_SECONDS + patience(length)))


def kill_while_writing(
    world: World, length: int, *, before_the_next: Callable[[SentDelivery], object] = nothing
) -> Killed:
    """Kill the worker child of a new delivery to the directory when it has written a random number of bytes."""
    file = StoredFile.make(world, length, seconds=STRIKE_SECONDS + patience(length))
    at = world.rng.randrange(length // 8, length // 2)
    delivery = file.deliver("directory", folder=f"at{at}")
    wait_for(lambda: delivery.staged_bytes() >= at, seconds=STRIKE_SECONDS, what="the worker writes")
    child = delivery.holder()
    threads = frozenset(thread.id for thread in child.threads())
    child.suspend()
    held = delivery.staged_bytes()
    before_the_next(delivery)
    child.kill()
    child.wait(STRIKE_SECONDS)
    held = max(held, delivery.staged_bytes())  # the kernel still ends a write that the killed process had begun
    assert at <= held < length, "the worker was not killed in the middle"
    return Killed(delivery=delivery, length=length, at=held, threads=threads)


def bytes_that_came(delivery: SentDelivery) -> int:
    """Return how many bytes of the object have come to the proxy before the target, in all attempts."""
    folder, method = delivery.object_name.partition("/")[0], sending(delivery.target)
    requests = list(delivery.world.between(delivery.target).requests)
    return sum(seen.body_bytes for seen in requests if seen.method == method and f"/{folder}/" in seen.target)


def patience(length: int) -> float:
    """Return the seconds that a busy machine may need for an object of this length, beside what any object needs."""
    return length / SLOWEST_BYTES_A_SECOND


def slow_writes(
    length: int, processes: Sequence[psutil.Process], *, log: Path = Path(os.devnull)
) -> AbstractContextManager[None]:
    """Let the writes of an object to a directory take WRITING_SECONDS in all, so that a row acts in the middle."""
    delay = f"delay_exit={WRITING_SECONDS * 1_000_000 * MIB / length:.0f}"
    return injecting(processes, calls="pwrite64", effect=delay, log=log)


def _plan(world: World, target: str, strike: Strike[int]) -> None:
    """Let the strike happen at its byte of the object, which some targets get in several requests."""
    if target in S3:
        number, byte = divmod(strike.at_byte, PART_BYTES)
        part = f"partNumber={number + 1}&"
        world.between(target).plan(replace(strike, at_byte=byte), method="PUT", part_of_target=part)
    elif target == "apache":  # the first MiB is a request of its own
        world.between(target).plan(replace(strike, at_byte=strike.at_byte - MIB), method="PUT", skip=1)
    else:
        world.between(target).plan(strike, method=sending(target))


def _kill_child(_: World, child: psutil.Process) -> None:
    child.kill()


def _kill_worker(world: World, child: psutil.Process) -> None:
    os.killpg(os.getpgid(world.worker_of(child).pid), signal.SIGKILL)


def _require_goes_on(world: World, target: str, *, beginning: int = 0) -> None:
    length = world.size or LONG
    killed = kill_at_a_random_byte(world, target, length, beginning=beginning)
    receipt = killed.recovered()
    assert receipt["abilities"]["resumable"] is True
    killed.require_sent_twice(bytes_that_came(killed.delivery), at_most=AGAIN[target])


def _require_begins_anew(
    world: World, target: str, *, before_the_next: Callable[[SentDelivery], object] = nothing
) -> Json:
    """Require that the next attempt sends the whole object, that the receipt says so, and return the receipt."""
    length = world.size or SHORT
    killed = kill_at_a_random_byte(
        world, target, length, beginning=FIRST_BYTES, before=_wait_until_noted, before_the_next=before_the_next
    )
    receipt = killed.recovered()
    sent = receipt["sent_in_attempts"]
    assert sent[1:] == [length], f"the receipt does not say that the object was sent anew: {receipt}"
    assert 0 < sent[0] <= length  # a part of that may have been on its way to the proxy
    killed.require_sent_twice(bytes_that_came(killed.delivery), at_most=length)
    return receipt


def _wait_until_noted(delivery: SentDelivery) -> None:
    """Wait until the record says what the attempt has sent: a worker notes that when it renews its lease."""
    wait_for(lambda: bool(delivery.record()["sent_in_attempts"]), seconds=STRIKE_SECONDS, what="progress is noted")

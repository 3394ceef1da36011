"""Faults of targets: bad answers, and wrong bytes stored."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.delivered import temporaries_below
from tests.faults.catalogue import fault
from tests.faults.protocols import PART_BYTES, S3, sending
from tests.faults.rows_stall import IMPATIENT
from tests.faults.stored import SentDelivery, StoredFile
from tests.faults.world import MIB, WORKERS, World
from tests.servers.disturbances import Answer, Cut, Disturbance, Flip, Side, Stall
from tests.servers.proxy import Planned, proxying

LENGTH = 20 * MIB + 1
SHORTEST_PART_BYTES = LENGTH - PART_BYTES  # of S3: either part may come first
FLIPS_TRIED_AT_MOST = 8
DELIVERED_SECONDS = 45
REMOTES = {
    "hashed": ("PROPFIND", "HEAD", "MKCOL", "PUT", "MOVE"),
    "webdav": ("PROPFIND", "MKCOL", "PUT", "MOVE"),
    "http": ("HEAD", "PUT"),
    "s3": ("HEAD", "POST", "PUT"),
}
SHOWING = (("hashed", "MOVE"), ("webdav", "MOVE"), ("sftp", "LINK"))
WITH_ONE_BODY = ("hashed", "webdav", "http", "sftp")
REPEATED_AT_ONCE = frozenset({"PROPFIND", "HEAD", "MKCOL"})  # if the connection was kept from an earlier request
FROM_THEN_ON = 1_000_000
LINK_LOCAL = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
FOREVER = float("inf")


@dataclass(frozen=True, kw_only=True)
class Disturbed:
    delivery: SentDelivery
    planned: Planned
    times: int

    def retried(self) -> None:
        """Require that the disturbance happened as planned, and that the next attempt delivered.

        A request whose kept connection ended without an answer may be repeated in the same attempt, and so may a part
        of an upload.
        """
        view = self.delivery.delivered(seconds=DELIVERED_SECONDS)
        unanswered = isinstance(self.planned.disturbance, Cut) and self.planned.method in REPEATED_AT_ONCE
        repeated = unanswered or (self.delivery.target in S3 and self.planned.method == "PUT")
        assert self.planned.hits == self.times, self.planned
        assert view["attempts"] == 2 or (repeated and view["attempts"] == 1), f"{self.planned} {view}"

    def refused(self, *, saying: str) -> None:
        """Require that the delivery is FAILED by its first attempt, with these words in the error."""
        view = self.delivery.failed("target_refused")
        assert self.planned.hits > 0, self.planned
        assert view["attempts"] == 1, view
        assert saying in view["error"]["detail"], view


@fault(26, stage="finalize", title="webdav, http, s3: 5xx, connection reset")
def target_fails(world: World) -> None:
    file = StoredFile.make(world, LENGTH)
    disturbed = []
    for target, methods in REMOTES.items():
        answer = Answer(status=world.rng.choice([500, 502, 503, 504, 507]))
        disturbed.append(deliver_disturbed(world, file, target, answer, method=world.rng.choice(methods)))
        body_bytes = SHORTEST_PART_BYTES if target == "s3" else LENGTH
        cut = Cut(side=Side.REQUEST, after_bytes=world.rng.randrange(body_bytes))
        disturbed.append(deliver_disturbed(world, file, target, cut, method="PUT"))
        unanswered = Cut(side=Side.ANSWER, after_bytes=0)
        disturbed.append(deliver_disturbed(world, file, target, unanswered, method=world.rng.choice(methods)))
    with world.recovers():
        for each in disturbed:
            each.retried()


@fault(26, stage="finalize", title="webdav, http, s3: the target hangs", settings=IMPATIENT)
def target_hangs(world: World) -> None:
    file = StoredFile.make(world, LENGTH)
    disturbed = []
    for target, methods in REMOTES.items():
        silent = Stall(side=Side.ANSWER, after_bytes=0, seconds=FOREVER)
        disturbed.append(deliver_disturbed(world, file, target, silent, method=world.rng.choice(methods)))
    with world.recovers():
        for each in disturbed:
            each.retried()
    for target in REMOTES:
        world.proxies[target].reset_all()


@fault(26, stage="finalize", title="webdav, http, s3: 401, redirects to a link-local address and elsewhere")
def target_refuses(world: World) -> None:
    file = StoredFile.make(world, LENGTH)
    refused, redirected = [], []
    with proxying("127.0.0.1", 9) as elsewhere:
        for target, methods in REMOTES.items():
            unauthorized = Answer(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            refused.append(
                deliver_disturbed(
                    world, file, target, unauthorized, method=world.rng.choice(methods), times=FROM_THEN_ON
                )
            )
            for location in (LINK_LOCAL, f"{elsewhere.url}/x"):
                status = world.rng.choice([301, 302, 303, 307, 308])
                redirect = Answer(status=status, headers={"Location": location})
                redirected.append(
                    deliver_disturbed(
                        world, file, target, redirect, method=world.rng.choice(methods), times=FROM_THEN_ON
                    )
                )
        for each in refused:
            each.refused(saying="credentials")
        for each in redirected:
            is_bucket = each.delivery.target == "s3"
            each.refused(saying="address" if is_bucket else "Redirects are not followed")
        assert elsewhere.requests == [], "a redirect was followed"


@fault(27, stage="finalize", title="directory, webdav, http, sftp: the target stores other bytes")
def target_stores_other_bytes(world: World) -> None:
    file = StoredFile.make(world, 40 * MIB)
    disturbed = []
    for target in WITH_ONE_BODY:
        flip = Flip(side=Side.REQUEST, at_byte=world.rng.randrange(file.length), bit=world.rng.randrange(8))
        disturbed.append(deliver_disturbed(world, file, target, flip, method=sending(target)))
    deliveries = [_flipped_in_directory(world, file), *(each.delivery for each in disturbed)]
    for delivery in deliveries:
        view = delivery.failed("target_mismatch")
        assert view["attempts"] == 1, view
        assert list(delivery.temporary_names()) == [], "a temporary object is left at the target"
    assert [each.planned.hits for each in disturbed] == [1] * len(disturbed)
    assert not any(world.between(target).count(method) for target, method in SHOWING), "an object was committed"
    delivery = world.rng.choice(deliveries)
    delivery.retry()
    delivery.delivered()


def deliver_disturbed(
    world: World, file: StoredFile, target: str, disturbance: Disturbance, *, method: str, times: int = 1
) -> Disturbed:
    """Ask for a delivery into a new folder, and disturb the requests to that folder only.

    The folder is new, so that the worker makes it: a worker does not make a folder again that it has made before.
    """
    folder = f"{file.file_id}-{len(world.between(target).plans)}"
    part = f"/{folder}/"
    planned = world.between(target).plan(disturbance, method=method, part_of_target=part, times=times)
    return Disturbed(delivery=file.deliver(target, folder=folder), planned=planned, times=times)


def _flipped_in_directory(world: World, file: StoredFile) -> SentDelivery:
    """Return a finished delivery of whose object a bit was flipped. Several are tried, because a write is short."""
    with _flipping_in_directory(world, file.length) as flipped:
        for number in range(FLIPS_TRIED_AT_MOST):
            delivery = file.deliver("directory", folder=f"flipped-{number}")
            delivery.over()
            if flipped.is_set():
                return delivery
    raise AssertionError(f"{FLIPS_TRIED_AT_MOST} objects were all written before the flip")


@contextmanager
def _flipping_in_directory(world: World, length: int) -> Iterator[threading.Event]:
    """Flip a bit of the first temporary object in the directory while it is written. The flip sets the event."""
    at_byte, mask = world.rng.randrange(MIB), 1 << world.rng.randrange(8)
    children = [child for worker in WORKERS for child in world.process(worker).children()]
    flipped, stop = threading.Event(), threading.Event()

    def run() -> None:
        while not stop.is_set():
            for path in temporaries_below(world.remotes["directory"]):
                with suppress(FileNotFoundError), world.paused(*children):  # so that the flip comes before the check
                    if MIB < path.stat().st_size < length:
                        flip(path, at_byte, mask)
                        flipped.set()
                        return
            time.sleep(0.0005)

    thread = threading.Thread(target=run, name="flipper")
    thread.start()
    try:
        yield flipped
    finally:
        stop.set()
        thread.join()


def flip(path: Path, at_byte: int, mask: int) -> None:
    """Change the bits of the mask in one byte of the file."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        (before,) = os.pread(descriptor, 1, at_byte)
        os.pwrite(descriptor, bytes([before ^ mask]), at_byte)
    finally:
        os.close(descriptor)

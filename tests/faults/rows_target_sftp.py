"""Faults of SFTP targets. SFTP has no redirects, so its row 26 has none."""

import math

from tests.faults.catalogue import fault
from tests.faults.rows_stall import IMPATIENT
from tests.faults.rows_target import FROM_THEN_ON, LENGTH, deliver_disturbed
from tests.faults.stored import StoredFile
from tests.faults.world import WORKERS, World
from tests.servers.disturbances import Answer, Cut, LoseAnswer, Side, Stall

PERMISSION_DENIED, FAILURE = 3, 4  # status codes of SFTP


@fault(26, stage="finalize", title="sftp: failures, session ends while bytes are sent, answers are lost")
def target_fails(world: World) -> None:
    file = StoredFile.make(world, LENGTH)
    failure = Answer(status=FAILURE)
    cut = Cut(side=Side.REQUEST, after_bytes=world.rng.randrange(1, LENGTH))
    disturbed = [
        # A server may answer so because the name is taken, so the worker opens the file in another way as well.
        deliver_disturbed(world, file, "sftp", failure, method="OPEN", times=2),
        deliver_disturbed(world, file, "sftp", failure, method="LINK"),
        deliver_disturbed(world, file, "sftp", cut, method="WRITE"),
        *(deliver_disturbed(world, file, "sftp", LoseAnswer(), method=method) for method in ("OPEN", "WRITE", "LINK")),
    ]
    with world.recovers():
        for each in disturbed:
            each.retried()


@fault(26, stage="finalize", title="sftp: the target hangs", settings=IMPATIENT)
def target_hangs(world: World) -> None:
    file = StoredFile.make(world, LENGTH)
    silent = Stall(side=Side.ANSWER, after_bytes=0, seconds=math.inf)
    stuck = Stall(side=Side.REQUEST, after_bytes=world.rng.randrange(1, LENGTH), seconds=math.inf)
    disturbed = [
        deliver_disturbed(world, file, "sftp", silent, method="OPEN"),
        deliver_disturbed(world, file, "sftp", silent, method="LINK"),
        deliver_disturbed(world, file, "sftp", stuck, method="WRITE"),
    ]
    with world.recovers():
        for each in disturbed:
            each.retried()
    world.stand.sftp.reset_all()


@fault(26, stage="finalize", title="sftp: permission denied, and the login refused")
def target_refuses(world: World) -> None:
    file = StoredFile.make(world, LENGTH)
    denied = Answer(status=PERMISSION_DENIED)
    refused = [
        deliver_disturbed(world, file, "sftp", denied, method=method, times=FROM_THEN_ON) for method in ("OPEN", "LINK")
    ]
    for each in refused:
        each.refused(saying="does not allow it")
    keys = world.stand.keys
    allowed = keys.user.with_suffix(".pub")
    line = allowed.read_text()
    with world.stopped(WORKERS[0]), world.stopped(WORKERS[1]):  # connections that were made before are gone then
        allowed.write_text(keys.stranger.with_suffix(".pub").read_text())
    delivery = file.deliver("sftp", folder="later")
    view = delivery.failed("target_refused")
    assert "refused the login" in view["error"]["detail"], view
    assert view["attempts"] == 1, view
    allowed.write_text(line)
    world.probe("sftp")  # a probe that found the login refused would wait for an hour
    delivery.retry()
    with world.recovers():
        delivery.delivered()

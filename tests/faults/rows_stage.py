"""Faults of deliveries that go through a stage: lost answers to commits, and stages that somebody else changed."""

from tests.faults.catalogue import fault
from tests.faults.protocols import COMMITS
from tests.faults.rows_kill import (
    LONG,
    RECOVERY_SECONDS,
    SHORT,
    STRIKE_SECONDS,
    Killed,
    kill_at_a_random_byte,
    kill_while_writing,
    slow_writes,
)
from tests.faults.stored import SentDelivery, StoredFile
from tests.faults.world import WORKERS, World, wait_for
from tests.servers.disturbances import LoseAnswer


@fault(37, stage="finalize", title="webdav, sftp, s3: the answer to MOVE, link, and Complete is lost")
def answer_to_commit_lost(world: World) -> None:
    for target in ("webdav", "sftp", "s3"):
        method, part = COMMITS[target]
        planned = world.between(target).plan(LoseAnswer(), method=method, part_of_target=part)
        delivery = StoredFile.make(world, SHORT).deliver(target)
        with world.recovers():
            receipt = delivery.delivered(seconds=RECOVERY_SECONDS)["receipt"]
        assert planned.hits == 1
        assert receipt["sent_in_attempts"] == [SHORT], "the object was sent twice"


@fault(37, stage="finalize", title="directory: the stage of a killed worker is removed, and one gets other bytes")
def stage_in_directory_changed(world: World) -> None:
    for change in (_remove, _damage):
        children = [child for worker in WORKERS for child in world.process(worker).children()]
        with slow_writes(SHORT, children):
            killed = kill_while_writing(world, SHORT, before_the_next=change)
        _require_sent_anew(killed)


@fault(37, stage="finalize", title="sftp: the stage of a killed worker is removed, and one gets other bytes")
def stage_at_sftp_changed(world: World) -> None:
    for change in (_remove, _damage):
        _require_sent_anew(kill_at_a_random_byte(world, "sftp", LONG, before_the_next=change))


@fault(37, stage="finalize", title="s3 (rclone): the upload of a killed worker is aborted")
def upload_aborted(world: World) -> None:
    killed = kill_at_a_random_byte(world, "s3", LONG, beginning=LONG // 2, before=_has_parts, before_the_next=_abort)
    _require_sent_anew(killed)


@fault(37, stage="finalize", title="s3 (SeaweedFS): a part that a killed worker has sent gets other bytes")
def part_replaced(world: World) -> None:
    """SeaweedFS keeps both parts, and completes the upload of those whose entity tags it is told."""
    world.start_seaweedfs()
    killed = kill_at_a_random_byte(
        world, "seaweedfs", LONG, beginning=LONG // 2, before=_has_parts, before_the_next=_replace_part
    )
    killed.recovered()


def _require_sent_anew(killed: Killed) -> None:
    """Require that the object was delivered, and that its last attempt has sent all of it.

    Wrong bytes at the beginning may be found only when the object is whole, so there may be three attempts.
    """
    with killed.delivery.world.recovers():
        receipt = killed.delivery.delivered(seconds=RECOVERY_SECONDS)["receipt"]
    assert receipt["sent_in_attempts"][-1] == killed.length, "the object was not sent anew"


def _remove(delivery: SentDelivery) -> None:
    for stage in delivery.temporary_names():
        stage.unlink()


def _damage(delivery: SentDelivery) -> None:
    for stage in delivery.temporary_names():
        with stage.open("r+b") as file:
            file.write(b"other bytes")


def _has_parts(delivery: SentDelivery) -> None:
    """Wait until the record has parts that the server has confirmed."""
    wait_for(lambda: bool(delivery.record()["stage"]["parts"]), seconds=STRIKE_SECONDS, what="parts are confirmed")


def _abort(delivery: SentDelivery) -> None:
    _request(delivery, "DELETE", f"uploadId={_upload_id(delivery)}")


def _replace_part(delivery: SentDelivery) -> None:
    """Send other bytes as one of the parts that were confirmed."""
    parts = delivery.record()["stage"]["parts"]
    number = delivery.world.rng.randint(1, len(parts))
    _request(delivery, "PUT", f"partNumber={number}&uploadId={_upload_id(delivery)}", content=b"other bytes")


def _upload_id(delivery: SentDelivery) -> str:
    return str(delivery.record()["stage"]["upload_id"])


def _request(delivery: SentDelivery, method: str, query: str, *, content: bytes = b"") -> None:
    """Send a request about the object to the server, past the proxy."""
    stand = delivery.world.stand
    server = (stand.rclone_bucket if delivery.target == "s3" else stand.seaweed_bucket).server
    answer = server.request(method, f"{server.bucket}/{delivery.object_name}?{query}", content=content)
    assert answer.is_success, answer.text

"""Faults that leave something at a target of which no record knows."""

from tests.faults.catalogue import fault
from tests.faults.stored import StoredFile
from tests.faults.world import MIB, World
from tests.servers.disturbances import LoseAnswer

LENGTH = 20 * MIB
RECOVERY_SECONDS = 45
FOLDER = "answer-lost"


@fault(
    30,
    stage="cleaning",
    title="s3: the answer to Create is lost, and gc aborts the upload that no record names",
    settings={"GRIDHAUL_SWEEP_SECONDS": "0"},
)
def answer_to_create_lost(world: World) -> None:
    planned = world.proxies["s3"].plan(LoseAnswer(), method="POST", part_of_target=f"{FOLDER}/")
    delivery = StoredFile.make(world, LENGTH).deliver("s3", folder=FOLDER)
    with world.recovers():
        delivery.delivered(seconds=RECOVERY_SECONDS)
    assert planned.hits == 1
    expected = ("upload_left", delivery.delivery_id, "repaired")
    found = world.operator.gc()["findings"]
    assert [(one["code"], one["delivery_id"], one["outcome"]) for one in found] == [expected]
    assert world.operator.gc()["findings"] == []

"""The journeys of turns: one for each task that can wait in a queue in which accounts take turns."""

from gridhaul.storage.agenda import DONE_TOGETHER
from gridhaul.transfer.model import TaskName
from tasks.turn_journeys import BY_TASK

OF_MAINTENANCE = {
    TaskName.DELETE_FILE,
    TaskName.SWEEP_CONTENT,
    TaskName.CLEAN_DELIVERY,
    TaskName.RUN_CHECK,
    TaskName.RUN_BATCH,
    TaskName.PROBE_TARGET,
}


def test_every_task_that_is_done_together_has_a_journey() -> None:
    assert BY_TASK.keys() >= DONE_TOGETHER


def test_every_task_of_the_other_queues_has_a_journey() -> None:
    assert set(BY_TASK) == set(TaskName) - OF_MAINTENANCE

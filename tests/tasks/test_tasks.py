"""Celery's tasks are plain functions under the names that hints carry."""

import importlib
import inspect
import os
from typing import Any

import pytest

from gridhaul.transfer.model import Queue, TaskName
from tasks.celery import app

ENVIRONMENT = {
    "GRIDHAUL_MONGO_URL": "mongodb://127.0.0.1:1",
    "GRIDHAUL_REDIS_URL": "redis://127.0.0.1:1",
    "GRIDHAUL_CHUNK_SERVICE_URL": "http://127.0.0.1:1",
    "GRIDHAUL_SERVICE_SECRET": "s" * 32,
    "GRIDHAUL_ROOTS": "/srv",
}


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the tasks of Gridhaul by name."""
    for name in [name for name in os.environ if name.startswith("GRIDHAUL_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for module in app.conf.include:
        importlib.import_module(module)
    return {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}


def test_each_task_has_the_name_of_a_hint(tasks: dict[str, Any]) -> None:
    assert set(tasks) == set(TaskName)


def test_no_task_is_a_coroutine_function(tasks: dict[str, Any]) -> None:
    for task in tasks.values():
        assert not inspect.iscoroutinefunction(task.run), "Celery would report success without running the coroutine"


def test_each_task_takes_one_id(tasks: dict[str, Any]) -> None:
    assert {len(inspect.signature(task.run).parameters) for task in tasks.values()} == {1}


def test_worker_consumes_every_queue_that_hints_go_to(tasks: dict[str, Any]) -> None:
    assert tasks
    assert {queue.name for queue in app.conf.task_queues} == {queue.value for queue in Queue}

"""Which messages in a queue are hints of Gridhaul, and what Celery sees of them."""

import json
from base64 import b64decode
from typing import Any

import pytest

from gridhaul.transfer.bundle import BUNDLE_FILES
from gridhaul.transfer.model import TaskName
from tasks.messages import ForeignMessage, NoHint, read_hint
from tests.strange_messages import FOREIGN, ID, MALFORMED, PROPERTIES, TASK_ID, body, headers, message


def read(hint: bytes) -> tuple[str, list[Any]]:
    """Return the name of the task and its arguments."""
    made = read_hint(hint, queue="small")
    args, kwargs, embed = json.loads(b64decode(made["body"]))
    assert (kwargs, any(embed.values())) == ({}, False)
    return made["headers"]["task"], args


@pytest.mark.parametrize("task", sorted(set(TaskName) - {TaskName.STORE_BUNDLE}))
def test_message_with_a_known_task_and_one_id_is_a_hint(task: TaskName) -> None:
    assert read(message(headers=headers(task))) == (task, [ID])


def test_message_of_a_whole_bundle_is_a_hint() -> None:
    ids = [ID] * BUNDLE_FILES
    assert read(message(headers=headers(TaskName.STORE_BUNDLE), body=body(ids))) == (TaskName.STORE_BUNDLE, [ids])


def test_nothing_else_of_a_hint_reaches_celery() -> None:
    callback = {"task": "celery.backend_cleanup", "args": [], "kwargs": {}, "options": {}}
    hint = message(
        headers=headers(eta="never", timelimit=["x"], compression="bzip2", expires=[1], group="g"),
        body=body(ID, embed={"callbacks": [callback], "chord": callback}),
        properties=PROPERTIES | {"priority": "high", "delivery_info": 7, "reply_to": "elsewhere"},
    )
    made = read_hint(hint, queue="large")
    assert read(hint) == (TaskName.UPLOAD_FILE, [ID])
    assert made["headers"] == {"lang": "py", "task": TaskName.UPLOAD_FILE, "id": TASK_ID}
    assert made["properties"]["delivery_info"] == {"exchange": "", "routing_key": "large"}
    assert made["properties"].keys() == {"body_encoding", "delivery_tag", "delivery_info"}


def test_same_message_twice_has_two_delivery_tags() -> None:
    tags = {read_hint(message(), queue="small")["properties"]["delivery_tag"] for _ in range(2)}
    assert len(tags) == 2


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_message_is_no_hint_and_belongs_to_nobody(kind: str) -> None:
    with pytest.raises(NoHint) as caught:
        read_hint(MALFORMED[kind], queue="small")
    assert not isinstance(caught.value, ForeignMessage)


@pytest.mark.parametrize("kind", FOREIGN)
def test_message_of_another_application_is_foreign(kind: str) -> None:
    with pytest.raises(ForeignMessage):
        read_hint(FOREIGN[kind], queue="small")

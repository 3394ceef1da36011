"""Messages that are no hints: malformed ones, and those of other applications of Celery."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from gridhaul.transfer.model import TaskName

ID = "6564a0c0a0b0c0d0e0f01234"
TASK_ID = "0e1f8a5c-7a34-4c5b-9d0e-2f3a4b5c6d7e"
PROPERTIES = {
    "correlation_id": TASK_ID,
    "body_encoding": "base64",
    "delivery_tag": TASK_ID,
    "delivery_mode": 2,
    "delivery_info": {"exchange": "", "routing_key": "small"},
    "priority": 0,
}


def body(*args: Any, kwargs: Any = None, embed: Any = None) -> str:
    """Return the body of a task message: its arguments as JSON, in base64."""
    return b64encode(json.dumps([list(args), kwargs or {}, embed or {}]).encode()).decode()


def headers(task: str = TaskName.UPLOAD_FILE, **others: Any) -> dict[str, Any]:
    return {"lang": "py", "task": task, "id": TASK_ID, **others}


def message(without: str = "", **members: Any) -> bytes:
    """Return the message of a hint, in which `members` replace members, and `without` is left out."""
    hint = {
        "body": body(ID),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers(),
        "properties": PROPERTIES,
    }
    return json.dumps({name: value for name, value in (hint | members).items() if name != without}).encode()


# Workers pass these over, and nobody misses them.
MALFORMED: Mapping[str, bytes] = {
    "nothing": b"",
    "no JSON": b"x",
    "no text": b"\xff\xfe\x00\x80",
    "half a message": message()[:100],
    "a string": b'"small"',
    "a number": b"7",
    "a number too long": b"9" * 5000,
    "a list": b"[[], {}, {}]",
    "null": b"null",
    "an empty object": b"{}",
    "a tower of lists": b"[" * 200_000,
    "no properties": message(without="properties"),
    "no body": message(without="body"),
    "type that runs code": b'{"__type__": "datetime", "__value__": "x"}',
}

# Workers pass these over, and keep them for their owner.
FOREIGN: Mapping[str, bytes] = {
    "task of another application": message(headers=headers("shop.tasks.bill")),
    "protocol 1": message(
        headers={}, body=b64encode(json.dumps({"task": "bill", "id": "1", "args": [], "kwargs": {}}).encode()).decode()
    ),
    "no headers": message(without="headers"),
    "headers of another type": message(headers=["task"]),
    "no task": message(headers={"id": TASK_ID}),
    "no task id": message(headers={"task": TaskName.UPLOAD_FILE}),
    "no delivery tag and no encoding": message(properties={}),
    "body that is no text": message(body=[ID]),
    "body that is no base64": message(body="§"),
    "body that is no JSON": message(body=b64encode(b"\x80x").decode()),
    "body in another encoding": message(properties=PROPERTIES | {"body_encoding": "rot13"}),
    "pickle": message(**{"content-type": "application/x-python-serialize"}),
    "no id": message(body=body("../../etc/passwd")),
    "id of another type": message(body=body({"$gt": ""})),
    "no argument": message(body=body()),
    "two arguments": message(body=body(ID, ID)),
    "named arguments": message(body=body(ID, kwargs={"file_id": ID})),
    "list where an id belongs": message(body=body([ID])),
    "id where a list belongs": message(headers=headers(TaskName.STORE_BUNDLE)),
    "bundle that is too long": message(headers=headers(TaskName.STORE_BUNDLE), body=body([ID] * 33)),
    "huge": message(body="A" * 20_000_000),
}

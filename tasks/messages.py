"""Recognises the messages of Gridhaul among everything that may lie in a queue of Redis. Pure."""

import json
from base64 import b64decode, b64encode
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from gridhaul.transfer.bundle import BUNDLE_FILES
from gridhaul.transfer.model import TaskName

READ_BYTES = 1024 * 1024  # a hint has some 3 KB; the text of a longer message may need many times its length in memory
ENVELOPE = {"body", "properties"}  # the members that the message of every Celery application has

RecordIdText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]
Bundle = Annotated[list[RecordIdText], Field(min_length=1, max_length=BUNDLE_FILES)]
Body = tuple[tuple[RecordIdText | Bundle], Annotated[dict[str, Any], Field(max_length=0)], dict[str, Any]]

_BODY: TypeAdapter[Body] = TypeAdapter(Body)
_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_NO_CALLBACKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


class NoHint(Exception):
    """The message is no hint of Gridhaul."""


class ForeignMessage(NoHint):
    """The message belongs to another system, or is too long to be read, so that nobody knows whose it is."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Headers(_Strict):
    task: Annotated[TaskName, Field(strict=False)]
    id: Annotated[UUID, Field(strict=False)]


class _Properties(_Strict):
    body_encoding: Literal["base64"]


class _Message(_Strict):
    """The members of a Celery message that a hint is read from."""

    headers: _Headers
    properties: _Properties
    content_type: Annotated[Literal["application/json"], Field(alias="content-type")]
    body: str


def read_hint(message: bytes, *, queue: str) -> dict[str, Any]:
    """Return the hint of the queue as a new Celery message, made of the task's name, its id and the record ids alone.

    So no other member of a message in Redis reaches Celery: no callback, time limit, compression or content type.
    Raises ForeignMessage, NoHint.
    """
    if len(message) > READ_BYTES:
        raise ForeignMessage
    try:
        read = _Message.model_validate_json(message)
        (argument,), _, _ = _BODY.validate_json(b64decode(read.body, validate=True))
        if (read.headers.task is TaskName.STORE_BUNDLE) != isinstance(argument, list):
            raise ValueError("a bundle has a list of ids, any other hint one id")
    except ValueError as error:
        raise (ForeignMessage if _is_envelope(message) else NoHint) from error
    return _new_message(read.headers, argument, queue)


def _is_envelope(message: bytes) -> bool:
    """Return whether the message has the form of a Celery message, so that another application may miss it."""
    try:
        return _OBJECT.validate_json(message).keys() >= ENVELOPE
    except ValidationError:
        return False


def _new_message(headers: _Headers, argument: str | list[str], queue: str) -> dict[str, Any]:
    """Return the message as kombu reads it from Redis (Celery's message protocol 2)."""
    body = json.dumps([[argument], {}, _NO_CALLBACKS]).encode()
    return {
        "body": b64encode(body).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "py", "task": headers.task.value, "id": str(headers.id)},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }

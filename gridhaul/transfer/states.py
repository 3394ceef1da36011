"""The states of files, contents and deliveries, sets of states, and the moves that an operator can make."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

S_co = TypeVar("S_co", covariant=True)


class FileState(StrEnum):
    RECEIVING = "RECEIVING"  # a client sends the bytes
    REGISTERED = "REGISTERED"
    STORING = "STORING"
    PAUSED = "PAUSED"
    STORED = "STORED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"  # the client did not go on in time, and the bytes that it had sent are deleted
    DELETING = "DELETING"
    DELETED = "DELETED"


class DeliveryState(StrEnum):
    QUEUED = "QUEUED"
    STREAMING = "STREAMING"
    COMMITTING = "COMMITTING"
    PAUSED = "PAUSED"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class ContentState(StrEnum):
    OPEN = "OPEN"
    SEALED = "SEALED"
    DELETING = "DELETING"


class Layout(StrEnum):
    INLINE = "inline"
    GRIDFS = "gridfs"


STORABLE = frozenset({FileState.REGISTERED, FileState.STORING})  # a worker may claim the file to store it
UNFINISHED = STORABLE | {FileState.RECEIVING, FileState.PAUSED}  # the file counts as open against its owner's limit
DELETABLE = frozenset({FileState.STORED, FileState.FAILED, FileState.CANCELLED})
BYTES_GONE = frozenset({FileState.EXPIRED, FileState.DELETED})  # no byte is stored, and none counts against a quota
DELIVERABLE = frozenset({DeliveryState.QUEUED, DeliveryState.STREAMING, DeliveryState.COMMITTING})  # may be claimed
OPEN = DELIVERABLE | {DeliveryState.PAUSED}
REOPENABLE = frozenset({DeliveryState.FAILED, DeliveryState.CANCELLED})  # retry or finalize queues it again
OVER = REOPENABLE | {DeliveryState.DELIVERED}


class Action(StrEnum):
    """An operator's action on a record."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"


@dataclass(frozen=True, kw_only=True, slots=True)
class Move(Generic[S_co]):
    """The effect of an action on one kind of record."""

    from_states: frozenset[S_co]
    to_state: S_co
    done_in: frozenset[S_co]  # states in which a repeat of the action has nothing left to do
    from_lost: frozenset[S_co] = frozenset()  # further states, for a delivery whose object a check found lost


FILE_MOVES: Mapping[Action, Move[FileState]] = {  # of a file from the server's own disk
    Action.CANCEL: Move(
        from_states=UNFINISHED,
        to_state=FileState.CANCELLED,
        done_in=frozenset({FileState.CANCELLED}),
    ),
    Action.PAUSE: Move(from_states=STORABLE, to_state=FileState.PAUSED, done_in=frozenset({FileState.PAUSED})),
    Action.RESUME: Move(from_states=frozenset({FileState.PAUSED}), to_state=FileState.REGISTERED, done_in=STORABLE),
    Action.RETRY: Move(
        from_states=frozenset({FileState.FAILED, FileState.CANCELLED}),
        to_state=FileState.REGISTERED,
        done_in=STORABLE,
    ),
}
UPLOAD_MOVES: Mapping[Action, Move[FileState]] = {  # of an upload: all its bytes are there before it is STORING
    Action.CANCEL: FILE_MOVES[Action.CANCEL],
    Action.PAUSE: FILE_MOVES[Action.PAUSE],
    Action.RESUME: Move(from_states=frozenset({FileState.PAUSED}), to_state=FileState.STORING, done_in=STORABLE),
    Action.RETRY: Move(from_states=frozenset({FileState.FAILED}), to_state=FileState.STORING, done_in=STORABLE),
}
_UNCOMMITTED = frozenset({DeliveryState.QUEUED, DeliveryState.STREAMING})  # nothing can be renamed yet

DELIVERY_MOVES: Mapping[Action, Move[DeliveryState]] = {
    Action.CANCEL: Move(
        from_states=_UNCOMMITTED | {DeliveryState.PAUSED},
        to_state=DeliveryState.CANCELLED,
        done_in=frozenset({DeliveryState.CANCELLED}),
    ),
    Action.PAUSE: Move(
        from_states=_UNCOMMITTED, to_state=DeliveryState.PAUSED, done_in=frozenset({DeliveryState.PAUSED})
    ),
    Action.RESUME: Move(
        from_states=frozenset({DeliveryState.PAUSED}), to_state=DeliveryState.QUEUED, done_in=DELIVERABLE
    ),
    Action.RETRY: Move(
        from_states=REOPENABLE,
        to_state=DeliveryState.QUEUED,
        done_in=DELIVERABLE,
        from_lost=frozenset({DeliveryState.DELIVERED}),
    ),
}

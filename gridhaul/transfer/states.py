"""The states of files, contents and deliveries, and which of them mean what."""

from enum import StrEnum


class FileState(StrEnum):
    REGISTERED = "REGISTERED"
    STORING = "STORING"
    STORED = "STORED"
    FAILED = "FAILED"
    DELETING = "DELETING"
    DELETED = "DELETED"


class DeliveryState(StrEnum):
    QUEUED = "QUEUED"
    STREAMING = "STREAMING"
    COMMITTING = "COMMITTING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class ContentState(StrEnum):
    OPEN = "OPEN"
    SEALED = "SEALED"
    DELETING = "DELETING"


class Layout(StrEnum):
    INLINE = "inline"
    GRIDFS = "gridfs"


STORABLE = frozenset({FileState.REGISTERED, FileState.STORING})
DELETABLE = frozenset({FileState.STORED, FileState.FAILED})
DELIVERABLE = frozenset({DeliveryState.QUEUED, DeliveryState.STREAMING, DeliveryState.COMMITTING})
REOPENABLE = frozenset({DeliveryState.FAILED})

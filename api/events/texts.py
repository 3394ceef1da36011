"""The text of server-sent events (WHATWG HTML, 9.2): records as lists show them."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel

from api.batch_schemas import BatchView
from api.obstacles import Obstacles
from api.schemas import DeliveryView, FileView
from gridhaul.transfer.changes import Kind, Record, event_position
from gridhaul.transfer.model import Delivery, File, RecordId

PING = b": ping\n\n"


@dataclass(slots=True)
class Told:
    """An event as all its listeners get it. The text is dropped once the event is too old to be kept."""

    owner: str
    file_id: RecordId | None  # the file itself, or that of a delivery; None: a batch
    text: bytes | None


def opening(retry_ms: int) -> bytes:
    """Return the beginning of a stream: it tells the client that the stream is open, and when to come back."""
    return f"retry: {retry_ms}\n\n".encode()


def event(record: Record, obstacles: Obstacles, *, horizon: datetime) -> Told:
    """Return the event that tells of the record, which was read after `horizon`."""
    position = event_position(record, horizon)
    name = f"id: {position}\n" if position else ""
    return _told(record, f"event: {Kind.of(record)}\n{name}data: {_json(record, obstacles)}\n\n")


def progress(record: Record, obstacles: Obstacles) -> Told:
    """Return the event that tells how far the record is. It has no id, because no change follows from it."""
    shown = _json(record, obstacles)
    return _told(record, f'event: progress\ndata: {{"kind":"{Kind.of(record)}",{shown[1:]}\n\n')


def _json(record: Record, obstacles: Obstacles) -> str:
    """Return the JSON of the record, which is one line."""
    return _view(record, obstacles).model_dump_json(by_alias=True)


def _view(record: Record, obstacles: Obstacles) -> BaseModel:
    if isinstance(record, File):
        return FileView.of(record, obstacles)
    return DeliveryView.of(record, obstacles) if isinstance(record, Delivery) else BatchView.of(record, obstacles)


def _told(record: Record, text: str) -> Told:
    if isinstance(record, File):
        return Told(record.owner, record.id, text.encode())
    return Told(record.owner, record.file_id if isinstance(record, Delivery) else None, text.encode())

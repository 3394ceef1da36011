"""Response bodies of the routes that show one record: they also show the record's history, which lists leave out."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field

from api.obstacles import Obstacles
from api.schemas import DeliveryView, FileView
from gridhaul.transfer.model import EVENTS_KEPT, FIRST_EVENTS_KEPT, Delivery, Event, File


class EventView(BaseModel):
    time: datetime
    state: str = Field(description="The record's state from then on")
    code: str | None = Field(description="The code of the error that ended an attempt; null: there was none")
    attempt: int = Field(description="The record's `attempts` at that time")
    who: str | None = Field(description="The username of the account that did this; null: a worker did it")
    revision: int = Field(description="Each event of a record has the next number")

    @classmethod
    def of(cls, event: Event) -> Self:
        return cls(
            time=event.time,
            state=event.state,
            code=event.code,
            attempt=event.attempt,
            who=event.who,
            revision=event.revision,
        )


History = Annotated[
    list[EventView],
    Field(
        description="Changes of the state, attempts and actions of operators, oldest first. Of more than "
        f"{EVENTS_KEPT}, the first {FIRST_EVENTS_KEPT} and the last {EVENTS_KEPT - FIRST_EVENTS_KEPT} are kept"
    ),
]


def history_view(events: Iterable[Event]) -> list[EventView]:
    return [EventView.of(event) for event in events]


class FileDetailView(FileView):
    history: History

    @classmethod
    def of(cls, file: File, obstacles: Obstacles) -> Self:
        return cls(**dict(FileView.of(file, obstacles)), history=history_view(file.history))


class DeliveryDetailView(DeliveryView):
    history: History

    @classmethod
    def of(cls, delivery: Delivery, obstacles: Obstacles) -> Self:
        return cls(**dict(DeliveryView.of(delivery, obstacles)), history=history_view(delivery.history))

"""`/events`: streams of server-sent events that tell of changes of files, deliveries and batches."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from api.auth import Reading
from api.dependencies import Id, Service, ServiceDep
from api.events import texts
from api.events.feed import in_order
from api.events.log import Sight
from api.events.stream import MEDIA_TYPE, EventStream
from api.examples import EVENT, PROGRESS_EVENT
from gridhaul.asgi.problems import documented
from gridhaul.transfer.access import Caller, Scope
from gridhaul.transfer.changes import POSITION, Position, Record, replay_start
from gridhaul.transfer.errors import DatabaseUnavailable, Unauthorized
from gridhaul.transfer.model import File

router = APIRouter(tags=["events"])

PAGE = 100  # records of a replay that are read at once
AT_ONCE = 10  # records whose texts are made before other tasks get a turn
LAST_ID = f"(?:{POSITION})|^$"  # some clients send the empty id that they begin with

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=LAST_ID,
        description="The `id` of the last event that the client got: the stream begins 10 s before it",
    ),
]
LastEventIdQuery = Annotated[
    str | None,
    Query(alias="last_event_id", pattern=LAST_ID, description="For clients that cannot send the header; it goes first"),
]


def _documented(description: str) -> dict[int | str, dict[str, Any]]:
    stream = {"schema": {"type": "string"}, "example": EVENT + PROGRESS_EVENT}
    return {200: {"description": description, "content": {MEDIA_TYPE: stream}}}


@router.get(
    "/events",
    summary="Be told of what changes",
    response_class=Response,
    responses=_documented("Events, without end"),
)
async def follow_all(
    request: Request,
    caller: Reading,
    service: ServiceDep,
    last_event_id: LastEventId = None,
    last_event_id_query: LastEventIdQuery = None,
) -> Response:
    """Stream an event for each change of a file, a delivery or a batch of the account; for admins, of all accounts.

    An event has the record as lists show it: `event: file`, `delivery` or `batch`. While bytes move, `event: progress`
    follows about once a second, with the same members and `kind`. The record is as it was when it was read, so several
    changes may be one event. An event may come twice, and none is left out: a client that reconnects sends the last
    `id` as `Last-Event-ID`. A stream without that field begins now. In its first second, an older state may follow a
    newer one, which then comes again. Lines that begin with `:` only keep the connection.
    """
    last = last_event_id or last_event_id_query
    return EventStream(
        service.events,
        account=caller.username,
        sight=Sight(owner=caller.sees_only),
        missed=partial(_replayed, service, caller.sees_only, Position.parse(last) if last else None),
        may_go_on=partial(_may_go_on, request, service, caller),
    )


@router.get(
    "/files/{file_id}/events",
    summary="Be told of what happens to one file and its deliveries",
    response_class=Response,
    responses=_documented("Events, without end") | documented(404),
)
async def follow_file(file_id: Id, request: Request, caller: Reading, service: ServiceDep) -> Response:
    """Stream the file and its deliveries as they are now, and then an event for each change of one of them.

    `Last-Event-ID` has no effect here, because the stream begins with all that there is.
    """
    file = await service.file(caller, file_id)
    return EventStream(
        service.events,
        account=caller.username,
        sight=Sight(owner=file.owner, file_id=file.id),
        missed=partial(_current, service, file),
        may_go_on=partial(_may_go_on, request, service, caller),
    )


async def _replayed(service: Service, owner: str | None, last: Position | None) -> AsyncGenerator[bytes]:
    """Yield the events of what changed after the position `last`; None: of the last few seconds."""
    horizon = await service.events.replays.begin()
    after: Position | None = replay_start(last, horizon)
    while after is not None:
        page = await service.events.replays.page(after, owner=owner, limit=PAGE)
        for first in range(0, len(page.records), AT_ONCE):
            yield _texts(page.records[first : first + AT_ONCE], service, horizon)
            await asyncio.sleep(0)
        after = page.next_after


async def _current(service: Service, file: File) -> AsyncGenerator[bytes]:
    """Yield the events of the file and of its deliveries as they are now."""
    horizon = await service.events.replays.begin()
    now = await service.files.get(file.id)
    deliveries = await service.deliveries.of_file(file.id)
    records: list[Record] = [now or file, *deliveries]
    yield _texts(in_order(records, horizon), service, horizon)


def _texts(records: Iterable[Record], service: Service, horizon: datetime) -> bytes:
    told = (texts.event(record, service.obstacles, horizon=horizon) for record in records)
    return b"".join(one.text or b"" for one in told)


async def _may_go_on(request: Request, service: Service, caller: Caller) -> bool:
    """Return whether the token of the request is still valid, and its caller still sees what it saw."""
    token = request.headers.get("Authorization", "").partition(" ")[2].strip()
    try:
        now = await service.authenticator.caller(token)
    except Unauthorized:
        return False
    except DatabaseUnavailable:  # nothing is told now either; the next look decides
        return True
    return Scope.READ in now.scopes and now.sees_only == caller.sees_only

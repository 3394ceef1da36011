"""`/lists`: lists of paths and manifests, sent as text, that batches take their files from."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from api.auth import Preparing, Reading
from api.dependencies import Cursor, Id, Limit, Service, ServiceDep
from api.list_limit import require_few
from api.schemas import LOCATION
from gridhaul.asgi.audit import audit
from gridhaul.asgi.bounded_route import BoundedRoute, require_type
from gridhaul.asgi.problems import documented
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.asgi.streamed_body import StreamedBody
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import DatabaseUnavailable, ManifestInvalid, NotFound, StateConflict
from gridhaul.transfer.lists import (
    LIST_MAX_BYTES,
    PAGE_BYTES,
    ListFormat,
    ListPage,
    NewList,
    Pages,
    PathList,
)
from gridhaul.transfer.model import RecordId

router = APIRouter(prefix="/lists", tags=["batches"], route_class=BoundedRoute)

MEDIA_TYPES = ("text/plain", "application/octet-stream")
_TEXT = {"schema": {"type": "string", "minLength": 1}, "example": "run42/a.h5\nrun42/b.h5\n"}
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": dict.fromkeys(MEDIA_TYPES, _TEXT)}}
Format = Annotated[
    ListFormat,
    Query(
        alias="format",
        description="`paths`: a path a line. `paths0`: NUL separates the paths. `sha256sums`: a manifest as the "
        "program `sha256sum` writes it. `jsonl`: a manifest of JSON objects, one a line, with `path`, and maybe "
        "`length` and `sha256`",
    ),
]


class ListView(BaseModel):
    list_id: str
    owner: str
    format: ListFormat
    length: int
    entries: int = Field(description="Lines that name a path")
    relative: int = Field(description="Entries with a relative path; a batch needs `base` for them")
    created_at: datetime
    expires_at: datetime | None = Field(description="When the list goes away; null: a batch uses it")
    links: dict[str, str]

    @classmethod
    def of(cls, made: PathList) -> Self:
        return cls(
            list_id=made.id,
            owner=made.owner,
            format=made.format,
            length=made.length,
            entries=made.entries,
            relative=made.relative,
            created_at=made.created_at,
            expires_at=made.expires_at,
            links={"self": f"/lists/{made.id}"},
        )


class ListsView(BaseModel):
    lists: list[ListView]
    next_cursor: str | None = Field(description="Pass this as `cursor` to get older lists; null: no more follow")


@router.post(
    "",
    status_code=201,
    summary="Send a list of paths, or a manifest, for a batch",
    responses={201: LOCATION, **documented(408, 413, 415)},
    openapi_extra=BODY,
)
async def send_list(
    request: Request, response: Response, caller: Preparing, service: ServiceDep, list_format: Format
) -> ListView:
    """Store the text, of at most 1 GiB, once every line is right. It goes away after a day, unless a batch uses it.

    Once a batch uses the list, it stays until the batch is deleted.
    """
    require_type(request, *MEDIA_TYPES)
    await require_few(service.lists, caller.username)
    limits: RequestLimits = request.app.state.request_limits
    body = StreamedBody(request, max_bytes=LIST_MAX_BYTES, within_seconds=limits.stall_seconds)
    async with service.list_slots.hold(caller.username):
        made = await _receive(body, caller, service, list_format)
    response.headers["Location"] = f"/lists/{made.id}"
    return ListView.of(made)


@router.get("", summary="List the lists, newest first")
async def list_lists(caller: Reading, service: ServiceDep, limit: Limit = 100, cursor: Cursor = None) -> ListsView:
    """List what is known of the lists, without their texts."""
    before = RecordId(cursor) if cursor else None
    lists = await service.lists.newest(owner=caller.sees_only, limit=limit, before=before)
    next_cursor = lists[-1].id if len(lists) == limit else None
    return ListsView(lists=[ListView.of(one) for one in lists], next_cursor=next_cursor)


@router.get("/{list_id}", summary="Get what is known of a list", responses=documented(404))
async def get_list(list_id: Id, caller: Reading, service: ServiceDep) -> ListView:
    return ListView.of(await _list(service, caller, list_id))


@router.delete(
    "/{list_id}", status_code=204, summary="Delete a list that no batch uses", responses=documented(404, 409)
)
async def delete_list(list_id: Id, caller: Preparing, service: ServiceDep) -> None:
    """Delete the list. A list that a batch uses is removed with the last of its batches."""
    await _list(service, caller, list_id)
    if not await service.lists.forget_unused(list_id):
        await _list(service, caller, list_id)  # the list may have gone away just now
        raise StateConflict("A batch uses the list; the list goes away once its batches are deleted.")
    audit("delete_list", list_id=list_id)


async def _list(service: Service, caller: Caller, list_id: RecordId) -> PathList:
    """Return the list. Raises NotFound, also for a list that the caller may not see."""
    found = await service.lists.get(list_id)
    if found is None or not caller.sees(found.owner):
        raise NotFound("There is no such list.")
    return found


async def _receive(body: StreamedBody, caller: Caller, service: Service, list_format: ListFormat) -> PathList:
    """Store the pages while they arrive, then the list. Whatever goes wrong, nothing stays. Raises ManifestInvalid."""
    list_id, pages, number = service.lists.new_id(), Pages(list_format), 0
    async with _all_or_nothing(service, list_id):
        async for page in _pages(body, pages):
            await service.lists.add_page(list_id, number, page)
            number += 1
        if not pages.entries:
            raise ManifestInvalid("The list names no file.")
        new = NewList(
            owner=caller.username,
            format=list_format,
            length=body.length,
            entries=pages.entries,
            relative=pages.relative,
            pages=number,
        )
        return await service.lists.register(list_id, new)


async def _pages(body: StreamedBody, pages: Pages) -> AsyncIterator[ListPage]:
    while part := await body.part(PAGE_BYTES):
        page = await asyncio.to_thread(pages.add, part)
        if page is not None:
            yield page
    last = await asyncio.to_thread(pages.end)
    if last is not None:
        yield last


@asynccontextmanager
async def _all_or_nothing(service: Service, list_id: RecordId) -> AsyncIterator[None]:
    """Remove the list if the block fails. A list that cannot be removed now goes away by itself."""
    try:
        yield
    except BaseException:
        with suppress(DatabaseUnavailable):
            await asyncio.shield(service.lists.forget(list_id))
        raise

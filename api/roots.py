"""`/roots`: the directories that an account may send from, and the folders beneath them, page by page."""

from collections.abc import Container
from datetime import datetime
from itertools import chain, count
from pathlib import Path as FilePath
from typing import Annotated, Self

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from api.auth import Preparing
from api.dependencies import Limit, Service, ServiceDep
from api.schemas import FailureView
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.source.folder_order import BEGINNING, Position
from gridhaul.source.folder_page import FolderPage, Kind, Listed, Slice, path_beneath
from gridhaul.source.opened import PATH_MAX_BYTES
from gridhaul.source.roots import Roots
from gridhaul.source.walk import normal
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import NotFound, PathNotAllowed
from gridhaul.transfer.origins import moment
from gridhaul.transfer.skipping import shown

router = APIRouter(prefix="/roots", tags=["upload"], route_class=BoundedRoute)

RootName = Annotated[str, Path(min_length=1, description="The root's name in the list of roots")]
# The patterns only document the values: `path_beneath` and `Position.of_cursor` refuse a wrong value and say why.
_RELATIVE = r"^([^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*)?$"
FolderPath = Annotated[
    str,
    Query(
        description="The folder's path, relative to the root; empty: the root itself",
        json_schema_extra={"pattern": _RELATIVE, "maxLength": PATH_MAX_BYTES},
    ),
]
NamePrefix = Annotated[
    str, Query(max_length=255, description="Only entries whose names begin with this text; empty: all entries")
]
FolderCursor = Annotated[
    str,
    Query(
        description="`next_cursor` of the previous page; empty: the first page",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]*$"},
    ),
]


class RootView(BaseModel):
    name: str = Field(
        description="The last part of `path`, or `root` for `/`; with `-2`, `-3` … if a root before it has this name"
    )
    path: str


class RootsView(BaseModel):
    roots: list[RootView]


class EntryView(BaseModel):
    name: str = Field(
        description="A name that is not UTF-8, or that holds control characters, is shown as Bash quotes it"
    )
    path: str = Field(description="Absolute, as prepare and batches take it unless `refused` says why they do not")
    kind: Kind = Field(description="`link` for every symbolic link; `other` also if the server may not look at it")
    length: int | None = Field(description="Bytes; null: the entry is not a file")
    mtime: datetime | None = Field(
        description="The time of a link is its own. null: the time is unknown, or outside the years 1 to 9999"
    )
    refused: FailureView | None = Field(
        description="Why it cannot be sent, with the code that a batch gives for a skipped path; null: it can be sent. "
        "A link is judged by the place to which it leads"
    )

    @classmethod
    def of(cls, entry: Listed) -> Self:
        refused = entry.refused
        return cls(
            name=entry.name,
            path=entry.path,
            kind=entry.kind,
            length=entry.length,
            mtime=moment(entry.mtime_ns) if entry.mtime_ns is not None else None,
            refused=FailureView(code=refused.reason, detail=refused.detail) if refused else None,
        )


class FolderView(BaseModel):
    path: str = Field(description="The folder's absolute path")
    entries: list[EntryView] = Field(
        description="Folders first, then everything else, each in the byte order of the names"
    )
    next_cursor: str | None = Field(description="Pass this as `cursor` to get the next entries; null: no more follow")

    @classmethod
    def of(cls, page: FolderPage) -> Self:
        return cls(
            path=page.path,
            entries=[EntryView.of(entry) for entry in page.entries],
            next_cursor=page.last.cursor if page.last else None,
        )


@router.get("", summary="List the roots that you may send from")
async def list_roots(caller: Preparing, service: ServiceDep) -> RootsView:
    """List the directories beneath which the account's files may lie, in the order of the configuration."""
    named = _named(_roots(caller, service))
    return RootsView(roots=[RootView(name=name, path=shown(path)) for name, path in named.items()])


@router.get("/{root_name}/entries", summary="List what a folder holds", responses=documented(404))
async def list_entries(
    root_name: RootName,
    caller: Preparing,
    service: ServiceDep,
    path: FolderPath = "",
    name_prefix: NamePrefix = "",
    limit: Limit = 100,
    cursor: FolderCursor = "",
) -> FolderView:
    """List a page of a folder beneath the root, without reading any file.

    Links that lead to the folder are followed while they stay beneath the root. A page may have fewer entries than
    `limit` although more follow.
    """
    roots = _roots(caller, service)
    root = _named(roots).get(root_name)
    if root is None:
        raise NotFound("There is no such root, or it is not allowed to you.")
    after = Position.of_cursor(cursor) if cursor else BEGINNING
    wanted = Slice(name_prefix=name_prefix, limit=limit, after=after)
    page = await service.sources.folder_page(path_beneath(root, path), roots, wanted, username=caller.username)
    return FolderView.of(page)


def _roots(caller: Caller, service: Service) -> Roots:
    return Roots(configured=service.roots, allowed=caller.roots_among(service.roots))


def _named(roots: Roots) -> dict[str, str]:
    """Return the paths of the allowed roots at or beneath a configured one, by a name of its own for each."""
    named: dict[str, str] = {}
    for path in dict.fromkeys(normal(str(root)) for root in roots.allowed):
        if _is_usable(path, roots):
            named[_free_name(shown(FilePath(path).name) or "root", named)] = path
    return named


def _is_usable(path: str, roots: Roots) -> bool:
    try:
        roots.place(path)
    except PathNotAllowed:
        return False
    return True


def _free_name(name: str, taken: Container[str]) -> str:
    numbered = (f"{name}-{number}" for number in count(2))
    return next(free for free in chain((name,), numbered) if free not in taken)

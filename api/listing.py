"""Lists of records: the parameters that can be combined, `Link` to the next page (RFC 8288), and JSON Lines."""

import json
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator

from api.examples import SCHEMAS
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import Forbidden, NotCombinable
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import Delivery, File, RecordId

LINES = "application/x-ndjson"
HEX = "^[0-9a-f]{24}$"


class Order(StrEnum):
    NEWEST = "newest"
    NAME = "name"


BY_NAME = f"order={Order.NAME}"
BY_AGE = f"order={Order.NEWEST}"
TIMES = ("created_after", "created_before")
# A request may have any of the parameters of one line, and no others. `gridhaul/storage/listing.py` has an index for
# each line.
FILE_LISTS = (
    frozenset({"state", "owner", *TIMES, BY_AGE}),
    frozenset({"target", "state", "owner", *TIMES, BY_AGE}),
    frozenset({"name_prefix", "state", "owner", BY_NAME}),
    frozenset({"batch", "state", BY_AGE}),
    frozenset({"batch", "name_prefix", BY_NAME}),
)
DELIVERY_LISTS = (*FILE_LISTS[:-1], frozenset({"lost", "owner", BY_AGE}))
OF_ONE_OWNER = ("target", "name_prefix", BY_NAME)


def _rfc3339(value: object) -> object:
    """Return the value. Raises ValueError for a number, which Pydantic would take for seconds since 1970."""
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d", value, re.ASCII):
        raise ValueError("not a time as in RFC 3339")
    return value


def _in_utc(time: AwareDatetime) -> AwareDatetime:
    """Return the time in UTC. A time that is in UTC before the year 1 or after 9999 becomes the first or last one."""
    try:
        return time.astimezone(UTC)
    except OverflowError:
        return (datetime.min if time.year == 1 else datetime.max).replace(tzinfo=UTC)


Time = Annotated[AwareDatetime, BeforeValidator(_rfc3339), AfterValidator(_in_utc)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """The parameters that all lists of records take."""

    batch: Annotated[str | None, Query(pattern=HEX, description="Only members of the batch with this id")] = None
    target: Annotated[
        str | None, Query(min_length=1, max_length=64, description="Only records that go to this target")
    ] = None
    name_prefix: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=255,
            description="Only files whose name, or deliveries whose object name, begins with this text, by name",
        ),
    ] = None
    owner: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=64,
            description="Only records of this account. Admins name any account, and need to in lists by target or name",
        ),
    ] = None
    created_after: Annotated[
        Time | None, Query(description="Only records made after this time, such as `2025-11-27T14:16:31Z`")
    ] = None
    created_before: Annotated[Time | None, Query(description="Only records made before this time")] = None
    order: Annotated[
        Order | None, Query(description="Without it: the newest first, but with `name_prefix` by name")
    ] = None

    @property
    def given(self) -> frozenset[str]:
        """Return the parameters that the request has; the order with its value."""
        names = frozenset(name for name in self.__slots__ if name != "order" and getattr(self, name))
        return names | {f"order={self.order}"} if self.order else names


FiltersDep = Annotated[Filters, Depends()]


def select(
    caller: Caller,
    filters: Filters,
    lists: Sequence[frozenset[str]],
    *,
    state: Collection[str],
    lost: bool = False,
) -> Selection:
    """Return what a list shows to the caller.

    Raises NotCombinable unless `lists` has all parameters of the request in one line, or if an admin has to name an
    owner; and Forbidden if the owner is somebody else.
    """
    given = filters.given | ({"state"} if state else set()) | ({"lost"} if lost else set())
    if not any(given <= together for together in lists):
        raise _not_combinable(given, lists)
    by_name = filters.name_prefix or ("" if filters.order is Order.NAME else None)
    return Selection(
        owner=_owner(caller, filters, next((name for name in OF_ONE_OWNER if name in given), None)),
        states=state,
        batch_id=RecordId(filters.batch) if filters.batch else None,
        target=filters.target,
        name_prefix=by_name,
        created_after=filters.created_after,
        created_before=filters.created_before,
    )


def link_headers(request: Request, next_cursor: str | None) -> dict[str, str]:
    """Return the headers of a page: `Link`, if a page follows, and `Vary`, because `Accept` selects the form."""
    if next_cursor is None:
        return {"Vary": "Accept"}
    following = request.url.include_query_params(cursor=next_cursor)
    return {"Vary": "Accept", "Link": f'<{following.path}?{following.query}>; rel="next"'}


def wants_lines(request: Request) -> bool:
    """Return whether the request accepts JSON Lines, and does not name JSON before."""
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    return next((name for name in accepted if name in (LINES, "application/json")), None) == LINES


def json_lines(views: Iterable[BaseModel], headers: Mapping[str, str]) -> StreamingResponse:
    """Return a response with one record a line. Each record is made when its line is sent."""

    async def lines() -> AsyncIterator[str]:
        for view in views:
            yield view.model_dump_json(by_alias=True) + "\n"

    return StreamingResponse(lines(), headers=dict(headers), media_type=LINES)


def next_cursor(records: Sequence[File | Delivery], limit: int) -> str | None:
    """Return the cursor of the next page: the id of the last record, if the page is full."""
    return records[-1].id if len(records) == limit else None


def documented_lines(schema: str) -> dict[int | str, dict[str, Any]]:
    """Return `responses` for FastAPI, which say that a list of `schema` may be asked for as JSON Lines."""
    example = json.dumps(SCHEMAS[schema]) + "\n"
    lines = {"schema": {"type": "string", "description": f"One `{schema}` a line, as JSON"}, "example": example}
    link = {"description": "The next page, with `rel=next`, if one follows", "schema": {"type": "string"}}
    return {200: {"description": "A page", "content": {LINES: lines}, "headers": {"Link": link}}}


def _not_combinable(given: frozenset[str], lists: Sequence[frozenset[str]]) -> NotCombinable:
    possible = "; ".join(" ".join(sorted(together)) for together in lists)
    detail = f"No list combines {' '.join(sorted(given))}. The parameters that can be combined are: {possible}."
    return NotCombinable(detail, invalid=sorted(map(_parameter, given)))


def _owner(caller: Caller, filters: Filters, needed_by: str | None) -> str | None:
    if filters.owner and not caller.sees(filters.owner):
        raise Forbidden("Only an admin lists what other accounts have.")
    owner = filters.owner or caller.sees_only
    if owner is None and needed_by and not filters.batch:
        detail = f"A list by {needed_by} shows one account; name the account with owner."
        raise NotCombinable(detail, invalid=[_parameter(needed_by), "query.owner"])
    return owner


def _parameter(name: str) -> str:
    return f"query.{name.partition('=')[0]}"

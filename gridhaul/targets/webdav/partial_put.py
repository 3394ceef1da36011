"""Partial PUT (RFC 9110, 14.5): a body that is written to its position in an object, and leaves the rest as it is."""

import asyncio
import http
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from gridhaul.outgoing.sending import Body
from gridhaul.process.threads import in_thread
from gridhaul.targets.http_session import REMOVED, STORED, Answer, HttpSession
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import GridhaulError, NotFound, TargetInconsistent
from gridhaul.transfer.model import Stage
from gridhaul.transfer.ports.targets import Blocks, Leaving

LOOKS_AFTER_SECONDS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # a server may notice late that a request broke off
# Answers of servers that have no partial PUT. Others ignore `Content-Range`, and put the body in the object's place.
UNKNOWN = frozenset(
    {
        http.HTTPStatus.BAD_REQUEST,
        http.HTTPStatus.METHOD_NOT_ALLOWED,
        http.HTTPStatus.LENGTH_REQUIRED,
        http.HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        http.HTTPStatus.NOT_IMPLEMENTED,
    }
)
SMALLEST_BYTES = 16 << 20  # of an object that is sent by partial PUT; a smaller one is sent in one plain request
PROBE_BYTES = 10


def can_go_on(stage: Stage) -> bool:
    """Return whether an attempt may send the rest of the stage, whose offset is where its object ends.

    It may not while the first request of an earlier attempt can still be open: once that ends, the server removes the
    object. The others are over then, or open objects that are there already. A plain request may still replace one.
    """
    return stage.length >= SMALLEST_BYTES and stage.offset > CHUNK_BYTES


async def put_rest(session: HttpSession, stage: Stage, blocks: Blocks, *, leaving: Leaving) -> Answer:
    """Send the stage's bytes from its offset on. Return the last answer; the others were successes.

    The first block of a new object is a request of its own: servers remove an object that a request has made if that
    request breaks off. No request truncates the object, because a worker that stood still may send one late.
    Raises NotFound if the object is gone, and TargetInconsistent if the server has no partial PUT any more.
    """
    rest, offset = iter(blocks), stage.offset
    if not offset:
        first = await in_thread(partial(next, rest, b""), when_cancelled=blocks.stop)
        offset = len(first)
        answer = await _put(session, stage, _Blocks(iter([first]), blocks.stop), 0, offset, leaving=leaving)
        if answer.status not in STORED or offset == stage.length:
            return answer
    answer = await _put(session, stage, _Blocks(rest, blocks.stop), offset, stage.length, leaving=leaving)
    if answer.status == http.HTTPStatus.CREATED:  # the object was gone, so the new one lacks its beginning
        with suppress(GridhaulError):
            await session.delete(stage.name, accepted=REMOVED)
        raise NotFound("The temporary object is no longer at the target.")
    return answer


async def goes_on(session: HttpSession, name: str) -> bool:
    """Return whether the server has partial PUT, and goes on with what has arrived of a request that breaks off.

    Servers that first collect a request, or work on a copy of the object, keep nothing of it. This writes an object of
    at most ten bytes under the name.
    """
    seen = b""
    for start, data in ((0, b"abc"), (3, b"DEF"), (1, b"xy")):
        seen = seen[:start] + data + seen[start + len(data) :]
        headers = {"Content-Range": content_range(start, start + len(data), PROBE_BYTES)}
        answer = await session.request("PUT", session.url(name), headers=headers, content=data)
        if answer.status not in STORED or not await _holds(session, name, seen):
            return False
    await _break_off(session, name, b"gh", start=len(seen))
    for seconds in LOOKS_AFTER_SECONDS:
        await asyncio.sleep(seconds)
        if await _holds(session, name, seen + b"gh"):
            return True
    return False


def content_range(start: int, stop: int, length: int) -> str:
    """Return the value of `Content-Range` for the bytes from `start` to before `stop`."""
    return f"bytes {start}-{stop - 1}/{length}"


def no_partial_put() -> TargetInconsistent:
    """Return the error for a server that had partial PUT when it was probed, and does not have it now."""
    return TargetInconsistent("The target's server no longer goes on with a temporary object; it is sent anew.")


@dataclass(frozen=True, slots=True)
class _Blocks:
    """`transfer.ports.targets.Blocks` of one request."""

    blocks: Iterator[bytes]
    stop: Callable[[], None]

    def __iter__(self) -> Iterator[bytes]:
        return self.blocks


async def _put(
    session: HttpSession, stage: Stage, blocks: Blocks, start: int, stop: int, *, leaving: Leaving
) -> Answer:
    where = content_range(start, stop, stage.length)
    answer = await session.send(stage.name, blocks, length=stop - start, leaving=leaving, content_range=where)
    if answer.status in UNKNOWN:
        raise no_partial_put()
    return answer


class _BrokenOff(Exception):
    """Ends a request in the middle of its body."""


async def _break_off(session: HttpSession, name: str, data: bytes, *, start: int) -> None:
    """Announce the bytes up to PROBE_BYTES, send the data, and close the connection."""

    def body() -> Iterator[bytes]:
        yield data
        raise _BrokenOff

    headers = {"Content-Range": content_range(start, PROBE_BYTES, PROBE_BYTES)}
    with suppress(_BrokenOff, GridhaulError):  # a server that answers early may close the connection first
        await session.send_body(session.url(name), Body(body()), length=PROBE_BYTES - start, headers=headers)


async def _holds(session: HttpSession, name: str, data: bytes) -> bool:
    with suppress(GridhaulError):  # after a broken request a server may give back less of the object than it says
        answer = await session.request("GET", session.url(name))
        return (answer.status, answer.body) == (http.HTTPStatus.OK, data)
    return False

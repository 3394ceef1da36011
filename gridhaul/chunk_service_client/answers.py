"""Reads the chunk service's answers. An answer of another program is an error, and never says anything of a content.

A wrong URL, or a proxy on the way, can lead to any answer: an HTML page with status 200, a 404 of another service.
"""

import http
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

import httpx2
from pydantic import BaseModel, TypeAdapter, ValidationError

from gridhaul.outgoing.headers import retry_after_seconds
from gridhaul.outgoing.problem_documents import media_type, read_problem
from gridhaul.transfer import errors
from gridhaul.transfer.digest import DIGEST_BYTES
from gridhaul.transfer.errors import (
    ChunkServiceFailed,
    ChunkServiceRefused,
    ChunkServiceUnavailable,
    ClocksDiffer,
    ContentUnknown,
    DigestMismatch,
    Forbidden,
    GridhaulError,
    LeaseLost,
    SegmentDamaged,
    StaleFence,
    Unauthorized,
)
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.states import Layout

ENTRY_BYTES = 1 + DIGEST_BYTES
BYTES = "application/octet-stream"
JSON = "application/json"
REFUSED = (  # the api also refuses unknown paths with this status, so the text names the URL
    "The service at GRIDHAUL_CHUNK_SERVICE_URL refuses this worker; give the chunk service and its workers the same "
    "SERVICE_SECRET, and check the URL."
)

T = TypeVar("T")


class _Bundle(BaseModel):
    stored: dict[RecordId, Layout]


class _Sealed(BaseModel):
    layout: Layout


class _Ready(BaseModel):
    """The parts that this client reads. The api has no part `collections`, so its answer is not taken for one."""

    collections: str
    disk: str


_NOTHING, _BUNDLE, _SEALED = TypeAdapter(None), TypeAdapter(_Bundle), TypeAdapter(_Sealed)


def read_digests(response: httpx2.Response, *, count: int) -> bytes:
    """Return the body: 33 bytes for each of up to `count` chunks. Raises the error of any other answer."""
    _require_success(response)
    held = response.content
    is_whole = len(held) % ENTRY_BYTES == 0 and len(held) <= count * ENTRY_BYTES
    if media_type(response) != BYTES or not is_whole or not set(held[::ENTRY_BYTES]) <= {0, 1}:
        raise _foreign(response)
    return held


def require_stored(response: httpx2.Response) -> None:
    """Raise the error of the answer, unless it says that the chunks are stored."""
    _read_json(response, _NOTHING)


def read_stored(response: httpx2.Response) -> Mapping[RecordId, Layout]:
    """Return the layout of each stored content of a bundle. Raises the error of any other answer."""
    return _read_json(response, _BUNDLE).stored


def read_layout(response: httpx2.Response) -> Layout:
    """Return the layout of a sealed content. Raises the error of any other answer."""
    return _read_json(response, _SEALED).layout


def read_disk_state(response: httpx2.Response) -> str:
    """Return the state of the disk from an answer of `/readyz`. Raises ChunkServiceUnavailable."""
    try:
        ready = _Ready.model_validate_json(response.content)
    except ValidationError:
        raise ChunkServiceUnavailable(_not_ours(response)) from None
    if not response.is_success:
        raise ChunkServiceUnavailable(f"The chunk service is not ready: it answered {response.status_code}.")
    return ready.disk


def _read_json(response: httpx2.Response, form: TypeAdapter[T]) -> T:
    _require_success(response)
    if media_type(response) != JSON:
        raise _foreign(response)
    try:
        return form.validate_json(response.content)
    except ValidationError:
        raise _foreign(response) from None


def _require_success(response: httpx2.Response) -> None:
    if not response.is_success:
        raise _refusal(response)


def _refusal(response: httpx2.Response) -> GridhaulError | LeaseLost:
    """Return the error that the service raised, as the worker is to understand it."""
    problem = read_problem(response)
    known = errors.by_code(problem.code) if problem else None
    # No class has the code of a path that does not exist: the URL leads to a wrong path, or to the api.
    if problem is None or known is None:
        return _foreign(response)
    detail = problem.detail
    if known in (StaleFence, ContentUnknown):
        return LeaseLost(detail)
    if known is DigestMismatch and not response.request.url.path.endswith("/seal"):
        return SegmentDamaged(detail)
    if known is ClocksDiffer:
        return ChunkServiceRefused(detail)
    if known in (Unauthorized, Forbidden):
        return ChunkServiceRefused(REFUSED)
    if known is GridhaulError:
        known = ChunkServiceFailed
    return known(detail, retry_after_seconds=_wait_seconds(response))


def _foreign(response: httpx2.Response) -> GridhaulError:
    """Return the error of an answer that the chunk service did not write.

    A proxy's 502 counts as a failed attempt, because the service may fail at this very request. All other answers mean
    that the service was not reached.
    """
    status = response.status_code
    has_failed = response.is_server_error and status != http.HTTPStatus.SERVICE_UNAVAILABLE
    kind = ChunkServiceFailed if has_failed else ChunkServiceUnavailable
    return kind(_not_ours(response), retry_after_seconds=_wait_seconds(response))


def _not_ours(response: httpx2.Response) -> str:
    return (
        f"The answer with status {response.status_code} did not come from the chunk service; "
        "check GRIDHAUL_CHUNK_SERVICE_URL, and any proxy on the way."
    )


def _wait_seconds(response: httpx2.Response) -> float | None:
    return retry_after_seconds(response.headers, now=datetime.now(UTC))

"""The worker's client of the chunk service. It repeats a request while a repeat can help."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import httpx2
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay

from gridhaul.chunk_service_client import answers
from gridhaul.chunk_service_client.bundle_table import write_blocks, write_table
from gridhaul.chunk_service_client.grants import sign, sign_bundle, sign_repair
from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.outgoing.http_client import patience
from gridhaul.outgoing.sending import Body
from gridhaul.outgoing.tls import tls_refusal
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.chunking import chunk_count
from gridhaul.transfer.digest import chunk_digest, content_sha256
from gridhaul.transfer.errors import (
    DISK_FULL,
    ChunkServiceRefused,
    ChunkServiceUnavailable,
    GridhaulError,
    LeaseLost,
    NotFound,
    StorageFull,
)
from gridhaul.transfer.grants import BundleGrant, ContentGrant, RepairGrant
from gridhaul.transfer.model import RecordId, Seal, Segment
from gridhaul.transfer.retry import backoff_seconds
from gridhaul.transfer.states import Layout

KEEP_TRYING_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 10.0  # if the service asks for a longer wait, the worker gives up and takes another file
CHECK_SECONDS = 3.0  # longer than the service itself waits for its database before it answers `/readyz`
SEAL_SECONDS_A_CHUNK = 0.001  # how long the service may need to seal: 17 minutes for 1 TiB

T = TypeVar("T")
Grant = ContentGrant | RepairGrant | BundleGrant

log = structlog.get_logger(__name__)


class ChunkClient:
    """The chunk service, as one worker process calls it."""

    def __init__(self, client: httpx2.AsyncClient, *, base_url: str, secret: str) -> None:
        self._client = client
        self._base_url = base_url.rstrip("/")
        self._secret = secret

    async def digests(self, grant: ContentGrant, *, first: int, count: int) -> bytes:
        """Return 33 bytes for each chunk: 1 and the digest if the service holds the chunk, else 33 zeros."""
        path = f"/{grant.content_id}/digests?from={first}&count={count}"
        return await self._request("GET", grant, path, partial(answers.read_digests, count=count))

    async def put(self, grant: ContentGrant, segment: Segment) -> None:
        """Store a segment. It is durable when this method returns. Raises LeaseLost, or the service's error."""
        headers = {"Chunk-Digests": write_chunk_digests(segment.digests)}
        path = f"/{grant.content_id}/chunks/{segment.first}"
        await self._request("PUT", grant, path, answers.require_stored, headers=headers, body=segment.chunks)

    async def put_tail(self, grant: ContentGrant, n: int, data: bytes) -> None:
        """Store the first bytes of chunk `n` of an ordered upload. They are durable when this method returns.

        Raises LeaseLost, or the service's error.
        """
        headers = {"Chunk-Digests": write_chunk_digests([chunk_digest(data)])}
        path = f"/{grant.content_id}/tail/{n}"
        await self._request("PUT", grant, path, answers.require_stored, headers=headers, body=[data])

    async def repair(self, grant: RepairGrant, n: int, chunk: bytes, digest: bytes) -> None:
        """Repair a chunk of a sealed content. It is durable when this method returns. Raises the service's error."""
        headers = {"Chunk-Digests": write_chunk_digests([digest])}
        path = f"/{grant.content_id}/chunks/{n}/repair"
        try:
            await self._request("PUT", grant, path, answers.require_stored, headers=headers, body=[chunk])
        except LeaseLost as lost:
            raise NotFound(str(lost)) from None

    async def store_whole(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        """Store and seal small contents. Return the layout of each that is stored and durable; others are refused."""
        table = write_table(contents)
        grant = BundleGrant(table_sha256=content_sha256(table))
        return await self._request("POST", grant, "", answers.read_stored, body=write_blocks(table, contents))

    async def seal(self, grant: ContentGrant, seal: Seal) -> Layout:
        """Make the content complete and unchangeable. Return its layout. Raises LeaseLost, or the service's error."""
        body = {"length": seal.length, "sha-256": seal.sha256, "manifest_root": seal.manifest_root}
        busy_seconds = chunk_count(seal.length) * SEAL_SECONDS_A_CHUNK
        path = f"/{grant.content_id}/seal"
        return await self._request("POST", grant, path, answers.read_layout, json=body, busy_seconds=busy_seconds)

    async def check(self) -> None:
        """Ask the service once whether it can store chunks. Raises ChunkServiceUnavailable, StorageFull."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                response = await self._client.get(f"{self._base_url}/readyz")
        except httpx2.HTTPError as error:
            raise ChunkServiceUnavailable(_unreachable(error)) from error
        except TimeoutError as error:
            raise ChunkServiceUnavailable("The chunk service does not answer.") from error
        if answers.read_disk_state(response) == StorageFull.code:
            raise StorageFull(DISK_FULL)

    async def _request(
        self,
        method: str,
        grant: Grant,
        path: str,
        read: Callable[[httpx2.Response], T],
        *,
        headers: dict[str, str] | None = None,
        body: Sequence[bytes] = (),
        json: object = None,
        busy_seconds: float = 0.0,
    ) -> T:
        """Send the request, and return what `read` makes of the answer. Repeat it while a repeat can help.

        `body` has the blocks of a body that is not JSON.
        """
        url = f"{self._base_url}/contents{path}"
        length = {"Content-Length": str(sum(map(len, body)))} if body else {}
        async for attempt in _retrying():
            with attempt:
                signed = {**self._authorization(grant), **(headers or {}), **length}
                request = self._client.build_request(
                    method,
                    url,
                    headers=signed,
                    json=json,
                    timeout=patience(self._client, busy_seconds),
                )
                if body:
                    request.stream = Body(body)
                return read(await self._once(request))
        raise AssertionError("unreachable: the loop returns or raises")

    def _authorization(self, grant: Grant) -> dict[str, str]:
        if isinstance(grant, ContentGrant):
            token = sign(grant, secret=self._secret)
            return {"Authorization": f"Bearer {token}", "Lease-Fence": str(grant.fence)}
        if isinstance(grant, BundleGrant):
            return {"Authorization": f"Bearer {sign_bundle(grant, secret=self._secret)}"}
        return {"Authorization": f"Bearer {sign_repair(grant, secret=self._secret)}"}

    async def _once(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self._client.send(request)
        except httpx2.HTTPError as error:
            raise ChunkServiceUnavailable(_unreachable(error)) from error


def _unreachable(error: httpx2.HTTPError) -> str:
    if why := tls_refusal(error):
        return f"No secure way to the chunk service: {why}; check GRIDHAUL_CHUNK_SERVICE_URL and GRIDHAUL_CA_FILE."
    return "The chunk service does not answer."


def _retrying() -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception(_may_pass),
        before_sleep=_log_retry,
        wait=_wait_seconds,
        stop=stop_after_delay(KEEP_TRYING_SECONDS),
        reraise=True,
    )


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, GridhaulError) or not error.retryable or isinstance(error, ChunkServiceRefused):
        return False
    return (error.retry_after_seconds or 0.0) <= LONGEST_WAIT_SECONDS


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    code, detail = (error.code, error.detail) if isinstance(error, GridhaulError) else (None, None)
    log.warning(
        "chunk_service_retry", code=code, detail=detail, cause=type(error.__cause__).__name__ if error else None
    )


def _wait_seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_seconds if isinstance(error, GridhaulError) else None
    return min(LONGEST_WAIT_SECONDS, backoff_seconds(state.attempt_number, retry_after_seconds=asked))

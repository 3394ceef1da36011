"""The chunk service's routes for one content: store a segment, repair a chunk, list stored digests, and seal."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from chunk_service import documentation
from chunk_service.dependencies import ContentId, Fence, Granted, GrantedRepair, Service, ServiceDep
from chunk_service.segment_body import declared_length, read_chunks
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.outgoing.headers import read_chunk_digests
from gridhaul.transfer.chunking import MANIFEST_PAGE_CHUNKS
from gridhaul.transfer.errors import DigestMismatch, LengthMismatch
from gridhaul.transfer.model import Seal

router = APIRouter(prefix="/contents/{content_id}", tags=["contents"], route_class=BoundedRoute)

TAKEN = documented(400, 404, 408, 409, 411, 413, 416, 507)

LARGEST_NUMBER = 2**31 - 1
ChunkNumber = Annotated[int, Path(ge=0, le=LARGEST_NUMBER)]
HexDigest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class SealBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    length: int = Field(ge=0, lt=2**53)
    sha256: HexDigest = Field(alias="sha-256")
    manifest_root: HexDigest


class SealAnswer(BaseModel):
    layout: str


@router.put(
    "/chunks/{first}",
    status_code=201,
    responses={200: {"description": "All chunks were stored already"}, **TAKEN},
    openapi_extra=documentation.SEGMENT,
)
async def put_segment(
    request: Request, response: Response, content_id: ContentId, first: ChunkNumber, fence: Fence, service: ServiceDep
) -> None:
    """Store a segment of 1 to 16 chunks. The chunks are durable when the answer is sent."""
    async with _received(request, service, first) as (chunks, digests):
        new = await service.intake.store(content_id, fence=fence, first=first, chunks=chunks, digests=digests)
    if not new:
        response.status_code = 200


@router.put("/tail/{n}", status_code=201, responses=TAKEN, openapi_extra=documentation.SEGMENT)
async def put_tail(request: Request, content_id: ContentId, n: ChunkNumber, fence: Fence, service: ServiceDep) -> None:
    """Store the first bytes of chunk `n` of an ordered upload. They are durable when the answer is sent."""
    async with _received(request, service, n) as (chunks, digests):
        if len(chunks) != 1:
            raise LengthMismatch("A tail has fewer bytes than a chunk.")
        await service.intake.store_tail(content_id, fence=fence, n=n, data=chunks[0], digest=digests[0])


@router.put(
    "/chunks/{n}/repair",
    status_code=201,
    responses={200: {"description": "The chunk was not damaged"}, **TAKEN},
    openapi_extra=documentation.REPAIR,
)
async def repair_chunk(
    request: Request, response: Response, content_id: ContentId, n: ChunkNumber, _: GrantedRepair, service: ServiceDep
) -> None:
    """Repair one chunk of a sealed content. The body must be the bytes that the manifest names."""
    async with _received(request, service, n) as (chunks, digests):
        if len(chunks) != 1:
            raise LengthMismatch("A repair takes the bytes of exactly one chunk.")
        if not await service.intake.repair(content_id, n=n, chunk=chunks[0], digest=digests[0]):
            response.status_code = 200


@router.get("/digests", response_class=Response, responses={200: documentation.DIGESTS, **documented(404)})
async def get_digests(
    content_id: ContentId,
    _: Granted,
    service: ServiceDep,
    first: Annotated[int, Query(alias="from", ge=0, le=LARGEST_NUMBER)] = 0,
    count: Annotated[int, Query(ge=1, le=MANIFEST_PAGE_CHUNKS)] = MANIFEST_PAGE_CHUNKS,
) -> Response:
    """Return 33 bytes a chunk: 1 and the chunk's digest, or 33 zeros if the chunk is not stored."""
    held = await service.intake.digests(content_id, first=first, count=count)
    return Response(held, media_type="application/octet-stream")


@router.post("/seal", responses=documented(404, 409), openapi_extra=documentation.SEAL)
async def seal(content_id: ContentId, body: SealBody, fence: Fence, service: ServiceDep) -> SealAnswer:
    """Make the content complete and unchangeable. A repeated request gets the same answer."""
    wanted = Seal(length=body.length, sha256=body.sha256, manifest_root=body.manifest_root)
    content = await service.intake.seal(content_id, fence=fence, seal=wanted)
    return SealAnswer(layout=str(content.layout))


@asynccontextmanager
async def _received(request: Request, service: Service, first: int) -> AsyncGenerator[tuple[list[bytes], list[bytes]]]:
    """Receive the body and yield its chunks and their digests, which are the digests in Chunk-Digests.

    The chunks count against the memory limit inside the context. `first` is the number of the first chunk.
    """
    announced = read_chunk_digests(request.headers.get("Chunk-Digests"))
    length = declared_length(request)
    await service.disk.require(length)
    with service.memory.hold(length):
        chunks, digests = await read_chunks(request, stall_seconds=service.stall_seconds)
        _require_announced(first, digests, announced)
        yield chunks, digests


def _require_announced(first: int, digests: Sequence[bytes], announced: Sequence[bytes]) -> None:
    if len(digests) != len(announced):
        raise DigestMismatch(f"The body holds {len(digests)} chunks, but Chunk-Digests holds {len(announced)} digests.")
    for n, (digest, wanted) in enumerate(zip(digests, announced, strict=True), first):
        if digest != wanted:
            raise DigestMismatch(f"Chunk {n} arrived with other bytes than its digest says.")

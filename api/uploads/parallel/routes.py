"""The door for chunks in any order over several connections: the client `gridhaul put` uses it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import BaseModel, Field

from api.auth import Preparing
from api.dependencies import Service, ServiceDep
from api.named_digest import NamedDigests
from api.prepare import IdempotencyKey
from api.schemas import Body, FileView, Length, ObjectName, OneOrSeveral, destinations_of
from api.uploads import documentation
from api.uploads.appending import finish, name_digests
from api.uploads.creating import Key, address, create_upload, upload_at
from api.uploads.holding import Held
from api.uploads.parallel.body import checked_count, read_segment
from api.uploads.parts import grant_of, upload_of
from api.uploads.route import UploadRoute
from api.uploads.states import has_all_bytes, refusal
from api.uploads.upload_resource import UploadId
from gridhaul.asgi.problems import documented
from gridhaul.transfer.access import Caller
from gridhaul.transfer.chunking import CHUNK_BYTES, MANIFEST_PAGE_CHUNKS, SEGMENT_MAX_CHUNKS
from gridhaul.transfer.digest import DIGEST_BYTES, fingerprint
from gridhaul.transfer.errors import ContentIncomplete, DoorConflict, LeaseLost, StaleFence
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState

router = APIRouter(prefix="/uploads", tags=["uploads"], route_class=UploadRoute)

HELD_ELSEWHERE = "Another client holds this upload now."
LARGEST_NUMBER = 2**31 - 1
ChunkNumber = Annotated[int, Path(ge=0, le=LARGEST_NUMBER)]
Fence = Annotated[int, Header(alias="Lease-Fence", ge=1, lt=2**53, description="The fence that `hold` answered")]


HexDigest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class UploadBody(Body):
    """A file whose chunks are to be uploaded."""

    name: ObjectName
    length: Length
    sha256: HexDigest | None = Field(default=None, alias="sha-256", description="Of all bytes, if it is known already")
    deliver_to: OneOrSeveral | None = Field(default=None, description="As in prepare")


class CompleteBody(Body):
    sha256: HexDigest | None = Field(default=None, alias="sha-256", description="Of all bytes; compared before sealing")


class HoldView(BaseModel):
    file_id: str
    fence: int
    length: int
    chunk_size: int
    segment_chunks: int = Field(description="The most chunks of one request")


@router.post(
    "/chunks",
    status_code=201,
    summary="Begin an upload whose chunks come in any order",
    responses={201: documentation.BEGUN, **documented(413, 507)},
)
async def begin(
    request: Request,
    body: UploadBody,
    response: Response,
    caller: Preparing,
    service: ServiceDep,
    idempotency_key: IdempotencyKey = None,
) -> FileView:
    """Begin the upload. `Location` is its address, below which `hold`, `chunks`, `digests` and `complete` are."""
    file = await create_upload(
        service,
        caller,
        name=body.name,
        length=body.length,
        door=Door.CHUNKS,
        sha256=body.sha256,
        deliver_to=destinations_of(body.deliver_to),
        key=Key(idempotency_key, fingerprint(body.model_dump_json())),
    )
    response.headers["Location"] = address(request, service, file)
    return FileView.of(file, service.obstacles)


@router.post("/{upload_id}/hold", summary="Take an upload, to send its chunks", responses=documented(404, 409, 410))
async def hold(upload_id: UploadId, caller: Preparing, service: ServiceDep) -> HoldView:
    """Take the upload's next fence. Requests with an older fence are refused from now on."""
    file = await _receiving(service, caller, upload_id)
    async with _keeping_the_lease(service, caller, upload_id):
        taken = await _taken(service, caller, file)
    return HoldView(
        file_id=file.id,
        fence=taken.fence,
        length=file.length,
        chunk_size=CHUNK_BYTES,
        segment_chunks=SEGMENT_MAX_CHUNKS,
    )


async def _taken(service: Service, caller: Caller, file: File) -> File:
    """Give the upload its next fence, and open its content under it. Raises LeaseLost if somebody else did, too."""
    parts = service.uploads
    taken = await parts.registry.force(file.id, holder=caller.username, new_content_id=parts.contents.new_id())
    if taken is None or taken.content_id is None:
        raise refusal(await service.file(caller, file.id))
    if file.content_id is None:
        parts.parallel_digests.begin(file.id)
    await parts.contents.open(
        taken.content_id,
        file_id=file.id,
        filename=file.name,
        content_type=file.content_type,
        length=file.length,
        fence=taken.fence,
    )
    return taken


@router.get(
    "/{upload_id}/digests",
    summary="Tell which chunks are stored",
    response_class=Response,
    responses={200: documentation.DIGESTS, **documented(404, 409, 410)},
)
async def digests(
    upload_id: UploadId,
    caller: Preparing,
    service: ServiceDep,
    fence: Fence,
    first: Annotated[int, Query(alias="from", ge=0, le=LARGEST_NUMBER)] = 0,
    count: Annotated[int, Query(ge=1, le=MANIFEST_PAGE_CHUNKS)] = MANIFEST_PAGE_CHUNKS,
) -> Response:
    """Return 33 bytes a chunk: 1 and the chunk's BLAKE3-256, or 33 zeros if the chunk is not stored."""
    file = await _held(service, caller, upload_id, fence)
    async with _keeping_the_lease(service, caller, upload_id):
        held = await service.uploads.chunks.digests(grant_of(file), first=first, count=count)
    return Response(held, media_type="application/octet-stream")


@router.put(
    "/{upload_id}/chunks/{first}",
    status_code=204,
    summary="Store 1 to 16 chunks",
    responses=documented(400, 404, 408, 409, 410, 411, 413, 416, 507),
    openapi_extra=documentation.SEGMENT,
)
async def put_chunks(
    request: Request, upload_id: UploadId, first: ChunkNumber, caller: Preparing, service: ServiceDep, fence: Fence
) -> Response:
    """Store the chunks from number `first` on. They are durable when the answer is sent.

    `Chunk-Digests` has the BLAKE3-256 of each chunk, a list of byte sequences (RFC 9651).
    """
    file = await _held(service, caller, upload_id, fence)
    parts = service.uploads
    async with parts.memory.hold(file.owner, chunks=checked_count(request, file, first)):
        segment = await read_segment(request, first=first, stall_seconds=parts.stall_seconds)
        async with _keeping_the_lease(service, caller, upload_id):
            await parts.chunks.put(grant_of(file), segment)
            await parts.registry.note_stored(file.lease, segment.length)
        await parts.parallel_digests.add(file.id, segment)
    return Response(status_code=204)


@router.post(
    "/{upload_id}/complete",
    summary="Finish an upload, all of whose chunks are stored",
    responses={202: {"model": FileView}, **documented(404, 409, 410)},
)
async def complete(
    body: CompleteBody, response: Response, upload_id: UploadId, caller: Preparing, service: ServiceDep, fence: Fence
) -> FileView:
    """Finish the upload. The file is STORED with the answer 200; with 202 a worker reads its bytes back first."""
    file = await upload_at(service, caller, upload_id)
    if file.state is FileState.RECEIVING:
        file = await _held(service, caller, upload_id, fence)
        try:
            await _require_all_chunks(service, file)
            await _finish(service, file, body.sha256)
        except LeaseLost:  # of an upload that a worker or an earlier attempt of this request finishes
            if (await service.file(caller, file.id)).state is FileState.RECEIVING:
                raise StaleFence(HELD_ELSEWHERE) from None
        file = await service.file(caller, file.id)
    if not has_all_bytes(file):
        raise refusal(file)
    response.status_code = 200 if file.state is FileState.STORED else 202
    return FileView.of(file, service.obstacles)


async def _finish(service: Service, file: File, sha256: str | None) -> None:
    parts = service.uploads
    file = await name_digests(parts, file, NamedDigests(sha256=sha256))
    await finish(parts, Held(file), parts.parallel_digests.take(file.id))


async def _require_all_chunks(service: Service, file: File) -> None:
    """Raise ContentIncomplete, which names the first chunk that is not stored."""
    for first in range(0, file.chunk_count, MANIFEST_PAGE_CHUNKS):
        page = await service.uploads.chunks.digests(grant_of(file), first=first, count=MANIFEST_PAGE_CHUNKS)
        held = page[:: 1 + DIGEST_BYTES]
        expected = min(MANIFEST_PAGE_CHUNKS, file.chunk_count - first)
        missing = held[:expected].find(b"\0") if 0 in held[:expected] else -1
        if missing >= 0 or len(held) < expected:
            raise ContentIncomplete(f"Chunk {first + max(missing, 0)} is not stored yet.")


async def _receiving(service: Service, caller: Caller, upload_id: str) -> File:
    """Return the parallel upload. Raises NotFound, DoorConflict, and the errors of an upload that is over."""
    file = await upload_at(service, caller, upload_id)
    if upload_of(file).ordered:
        raise DoorConflict("The upload takes its bytes in their order; send them as it was begun.")
    if file.state is not FileState.RECEIVING:
        raise refusal(file)
    return file


async def _held(service: Service, caller: Caller, upload_id: str, fence: int) -> File:
    """Return the parallel upload if it is held under the fence. Raises StaleFence, and as `_receiving`."""
    file = await _receiving(service, caller, upload_id)
    if file.fence != fence or file.content_id is None:
        raise StaleFence(HELD_ELSEWHERE)
    return file


@asynccontextmanager
async def _keeping_the_lease(service: Service, caller: Caller, upload_id: str) -> AsyncGenerator[None]:
    """Raise StaleFence, or the error of an upload that is over, if the upload's lease is lost inside the context."""
    try:
        yield
    except LeaseLost:
        await _receiving(service, caller, upload_id)
        raise StaleFence(HELD_ELSEWHERE) from None

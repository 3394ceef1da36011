"""The door for clients of Resumable Uploads for HTTP (draft-ietf-httpbis-resumable-upload-12), at `/uploads`.

No answer 104 is sent: proxies on the way could take it for the final one, and pages in a browser do not see it.
"""

from datetime import UTC, datetime

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from api.dependencies import Service
from api.named_digest import sha256_in_hex
from api.schemas import FileView
from api.uploads.appending import append
from api.uploads.body import fast_enough, media_type_of
from api.uploads.creating import address, create_upload, upload_at
from api.uploads.draft.fields import (
    PARTIAL,
    limit_field,
    problem_members,
    read_offset,
    state_fields,
    stated_media_type,
    truth_in,
)
from api.uploads.draft.request import Part, coming_bytes, destinations_of, name_of
from api.uploads.ending import discard, discard_if_lost
from api.uploads.file_answer import answer_with, file_address
from api.uploads.ordered import end_upload, require_door, settled
from api.uploads.parts import reserved_length, upload_of
from api.uploads.states import has_all_bytes, refusal
from api.uploads.tus.fields import Metadata
from gridhaul.asgi.audit import audit
from gridhaul.asgi.bounded_route import require_type
from gridhaul.asgi.problems import answer
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import (
    ChecksumMismatch,
    ChunkMissing,
    DigestMismatch,
    GridhaulError,
    InconsistentLength,
    OffsetMismatch,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
    UploadCompleted,
    UploadDigestMismatch,
    UploadGone,
    UploadTakenOver,
)
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door
from gridhaul.transfer.states import FileState

DOORS = frozenset({Door.RESUMABLE})
UNANSWERED = (ClientDisconnect, RequestTimeout)


def is_offered(request: Request) -> bool:
    """Return whether this server takes uploads in the form of the draft."""
    service: Service = request.app.state.service
    return service.uploads.offers_draft


def is_meant_by(request: Request) -> bool:
    """Return whether the request has a field of which only the draft knows the value."""
    return truth_in(request.headers.get("Upload-Complete")) is not None or media_type_of(request) == PARTIAL


def capability_fields(service: Service, *, max_bytes: int | None) -> dict[str, str]:
    """Return the fields that say what clients of the draft can do here (section 4.1.4)."""
    limits = limit_field(max_bytes, max_age_seconds=service.uploads.lifetime_seconds)
    return {"Accept-Patch": PARTIAL, **limits}


def marked(response: Response) -> Response:
    """Return the answer with the field that all answers of the draft have."""
    response.headers["Cache-Control"] = "no-store"
    return response


def refused(request: Request, error: GridhaulError) -> Response:
    """Return the answer to a request that ended with the error: a registered problem type, if there is one for it."""
    response = answer(request, error, **problem_members(request.headers, error))
    service: Service = request.app.state.service
    if isinstance(error, PayloadTooLarge):
        response.headers.update(limit_field(service.uploads.max_file_bytes))
    elif isinstance(error, UnsupportedMediaType):
        response.headers["Accept-Patch"] = PARTIAL
    elif isinstance(error, UploadDigestMismatch):  # all bytes have arrived, and sending them again would change nothing
        response.headers["Upload-Complete"] = "?1"
    return response


async def create(request: Request, caller: Caller, service: Service) -> Response:
    """Begin an upload (section 4.2). The body may have the first bytes of the file, or all of them."""
    part = Part.read(request, offset=0)
    file = await _register(request, caller, service, part)
    location = {"Location": address(request, service, file)}
    offset = 0
    if part.complete or part.end != 0:
        try:
            offset = await _append(request, service, caller, file, part, length=reserved_length(file))
            if part.complete:
                return await _completed(request, service, caller, file, length=offset)
        except UploadTakenOver:  # by somebody who found the address in the list of files
            raise
        except UNANSWERED:  # the client is not told the address
            await discard_if_lost(service, caller, file, can_continue=False)
            raise
        except GridhaulError as error:
            if await discard_if_lost(service, caller, file, can_continue=True):
                raise
            response = refused(request, error)
            response.headers.update(location)
            return response
    fields = {**state_fields(offset=offset, complete=False), **await _limits(service, file), **location}
    return Response(status_code=201, headers=fields)


async def look(request: Request, upload_id: str, caller: Caller, service: Service) -> Response:
    """Tell the offset, and whether the upload is complete (section 4.3). A request that still sends bytes ends first.

    The file of a complete upload is named in Content-Location, for clients that missed the answer which told it.
    """
    file = await upload_at(service, caller, upload_id)
    require_door(file, DOORS)
    file = await settled(service, file)
    complete = has_all_bytes(file)
    if not complete and file.state is not FileState.RECEIVING:
        raise refusal(file)
    fields = state_fields(offset=file.length if complete else file.stored_bytes, complete=complete)
    if (length := reserved_length(file)) is not None:
        fields["Upload-Length"] = str(length)
    if complete:
        fields["Content-Location"] = file_address(request, service, file)
    return Response(status_code=204, headers={**fields, **await _limits(service, file)})


async def append_body(request: Request, upload_id: str, caller: Caller, service: Service) -> Response:
    """Append the body, from Upload-Offset on (section 4.4). With `Upload-Complete: ?1` the file ends with it."""
    require_type(request, PARTIAL)
    part = Part.read(request, offset=read_offset(request.headers))
    file = await upload_at(service, caller, upload_id)
    require_door(file, DOORS)
    if file.state is not FileState.RECEIVING:
        raise _refusal(request, file, part.offset)
    length = part.named_length
    if part.offset == file.stored_bytes:  # otherwise the offset is refused, whatever lengths follow from it
        length = part.length_with(reserved_length(file))
    try:
        now_at = await _append(request, service, caller, file, part, length=length)
    except UploadTakenOver:
        file = await service.file(caller, file.id)
        if file.state is FileState.RECEIVING:
            raise
        raise _refusal(request, file, part.offset) from None
    if part.complete:
        return await _completed(request, service, caller, file, length=now_at)
    return Response(status_code=204, headers=state_fields(offset=now_at, complete=False))


async def end(request: Request, upload_id: str, caller: Caller, service: Service) -> Response:
    """End the upload (section 4.5). A request that still sends bytes ends first."""
    file = await upload_at(service, caller, upload_id)
    require_door(file, DOORS)
    await end_upload(service, caller, await settled(service, file))
    return Response(status_code=204)


async def _register(request: Request, caller: Caller, service: Service, part: Part) -> File:
    """Register the upload with what the request says of its file."""
    metadata = Metadata.read(request.headers.get("Upload-Metadata", ""))  # tus-js-client has it in this protocol, too
    file = await create_upload(
        service,
        caller,
        name=name_of(request, metadata),
        length=part.length_with(None),
        door=Door.RESUMABLE,
        metadata=metadata.text,
        sha256=part.sha256 or sha256_in_hex(metadata.values.get("sha256")),
        deliver_to=destinations_of(request, metadata),
        content_type=stated_media_type(request.headers.get("Content-Type", "")),
    )
    audit("create_upload", file_id=file.id)
    return file


async def _append(
    request: Request, service: Service, caller: Caller, file: File, part: Part, *, length: int | None
) -> int:
    """Append the body, and return the offset. If the part is the last one, the upload is complete then, or too short.

    Raises InconsistentLength, and ends the upload, if more bytes arrive than it has (section 4.4.2). Raises UploadGone,
    and ends the upload, if stored bytes are lost (section 4.1.1).
    """
    try:
        return await append(
            service.uploads,
            file,
            fast_enough(request, service.uploads.stall_seconds),
            offset=part.offset,
            checksum=part.checksum,
            length=length,
            ends_file=part.complete,
            sha256=part.sha256,
        )
    except PayloadTooLarge:
        if reserved_length(await service.file(caller, file.id)) is None:
            raise
        await discard(service, caller, file)
        raise InconsistentLength("More bytes arrived than the upload has, so it has ended; upload it again.") from None
    except ChunkMissing:
        await discard(service, caller, file)
        raise UploadGone("Stored bytes of the upload are lost, so it has ended; upload the file again.") from None
    except ChecksumMismatch:
        raise DigestMismatch("The bytes are not those of the digest, and were discarded; send them again.") from None


def _refusal(request: Request, file: File, offset: int) -> GridhaulError:
    """Return the error for a request to append to an upload that takes no more bytes (section 4.4.2)."""
    if not has_all_bytes(file):
        return refusal(file)
    if offset != file.length:
        return OffsetMismatch("The upload has all its bytes.", offset=file.length)
    if coming_bytes(request) == 0:
        return UploadCompleted("The upload is complete already.")
    return InconsistentLength("The upload is complete, and takes no more bytes.")


async def _completed(request: Request, service: Service, caller: Caller, file: File, *, length: int) -> Response:
    """Return the answer to a request that completes the upload.

    Raises InconsistentLength if its body had fewer bytes than the upload has left.
    """
    file = await service.file(caller, file.id)
    if file.state is FileState.RECEIVING:
        raise InconsistentLength(f"Only {length} bytes of the upload have arrived; send the others.")
    response = answer_with(request, service, file, FileView.of(file, service.obstacles), status=201)
    response.headers.update(state_fields(offset=length, complete=True))
    response.headers["Content-Location"] = response.headers["Location"]
    return response


async def _limits(service: Service, file: File) -> dict[str, str]:
    """Return the field with the limits of an upload. What is reserved for the upload counts as free for it."""
    free = await service.usage.free_bytes(file.owner)
    most = None if free is None else free + file.length
    receives = file.state is FileState.RECEIVING
    left = (upload_of(file).expires_at - datetime.now(UTC)).total_seconds() if receives else None
    return limit_field(service.uploads.max_file_bytes, most, max_age_seconds=left)

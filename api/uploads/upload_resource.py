"""The routes at `/uploads` that several protocols share. Each request goes to the protocol that it speaks."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path, Request, Response

from api.auth import Preparing
from api.dependencies import Service, ServiceDep, get_service
from api.schemas import FileView
from api.uploads import documentation
from api.uploads.body import Unanswered
from api.uploads.content_range import protocol as content_range
from api.uploads.content_range.fields import ChunkedUploadView, CompletedUploadView
from api.uploads.draft import protocol as draft
from api.uploads.route import UploadRoute
from api.uploads.tus import protocol as tus
from api.uploads.tus.fields import capability_fields
from gridhaul.asgi.problems import documented
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import GridhaulError, RequestTimeout

OF_TUS = frozenset({"tus-resumable", "upload-length", "upload-defer-length", "upload-metadata", "upload-concat"})


class Beginning(Protocol):
    """A protocol in which clients upload a file in several requests, each of which goes on where the last one ended."""

    async def create(self, request: Request, caller: Caller, service: Service) -> Response: ...

    def marked(self, response: Response) -> Response:
        """Return the answer with the fields that all answers of the protocol have."""

    def refused(self, request: Request, error: GridhaulError) -> Response:
        """Return the answer to a request that ended with the error."""


class UploadProtocol(Beginning, Protocol):
    """A protocol with requests of its own to go on, to ask for the offset, and to end the upload."""

    async def look(self, request: Request, upload_id: str, caller: Caller, service: Service) -> Response: ...

    async def append_body(self, request: Request, upload_id: str, caller: Caller, service: Service) -> Response: ...

    async def end(self, request: Request, upload_id: str, caller: Caller, service: Service) -> Response: ...


def protocol_of(request: Request) -> UploadProtocol:
    """Return the protocol that the request speaks. Where it could be several, tus asks for the version of tus."""
    if "Tus-Resumable" in request.headers:
        return tus
    resumable = draft if draft.is_offered(request) else tus
    if draft.is_meant_by(request):
        return resumable
    return tus if request.method in ("PATCH", "POST") else resumable


def spoken_by(request: Request) -> Beginning:
    """Return the protocol that the request speaks, which may also be that of Content-Range."""
    if request.method not in ("POST", "PUT"):
        return protocol_of(request)
    is_of_tus = request.method == "POST" and not OF_TUS.isdisjoint(request.headers)
    begins = "upload_id" not in request.path_params
    return protocol_of(request) if begins and (is_of_tus or draft.is_meant_by(request)) else content_range


class ResumableRoute(UploadRoute):
    """A route whose answers have the form that the request's protocol asks for.

    It closes the connection of a body that stands still: tus-js-client gives an upload up after an answer 408, but goes
    on after a connection that ended.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            protocol = spoken_by(request)
            try:
                response = await handle(request)
            except RequestTimeout:
                return Unanswered()
            except GridhaulError as error:
                response = protocol.refused(request, error)
            return protocol.marked(response)

        return handled


router = APIRouter(prefix="/uploads", tags=["uploads"], route_class=ResumableRoute)
UploadId = Annotated[str, Path(pattern="^[0-9a-f]{56}$", description="The last part of the upload's address")]
LOOKED = {**documented(404, 410), 409: documentation.MOVED_ON, 412: documentation.OTHER_VERSION}
TAKEN = {**documented(400, 413, 415, 460, 507), **LOOKED}
COMPLETED: dict[int | str, dict[str, Any]] = {
    201: {"model": FileView, **documentation.COMPLETED},
    202: {"model": FileView, **documentation.COMPLETED_FURTHER},
}
RANGES_TAKEN = {**documented(400, 404, 408, 410, 413, 415, 507), 409: documentation.CHUNK_ELSEWHERE}


@router.options(
    "", status_code=204, summary="Tell what upload clients can do here", responses={204: documentation.OFFERED}
)
@router.options("/{upload_id}", status_code=204, include_in_schema=False)
async def options(request: Request) -> Response:
    """Answer without a token, too. With one, Tus-Max-Size and Upload-Limit say how much the account may still send."""
    service = await get_service(request)
    caller: Caller | None = getattr(request.state, "caller", None)
    free = await service.usage.free_bytes(caller.username) if caller else None
    most = min((most for most in (free, service.max_file_bytes) if most is not None), default=None)
    of_draft = draft.capability_fields(service, max_bytes=most) if draft.is_offered(request) else {}
    return Response(status_code=204, headers={**capability_fields(max_bytes=most), **of_draft})


@router.post(
    "",
    status_code=201,
    summary="Begin an upload",
    response_class=Response,
    responses={201: documentation.CREATED, **TAKEN},
    openapi_extra=documentation.CREATE,
)
async def create(request: Request, caller: Preparing, service: ServiceDep) -> Response:
    """Begin an upload. The body may already have its first bytes.

    Without a field of tus, and without `Upload-Complete`, the body is the first chunk of a file, as Content-Range says.
    Without Content-Range it is a whole file. A form may hold either; its fields are described with `PUT`.
    """
    return await spoken_by(request).create(request, caller, service)


@router.put(
    "",
    status_code=201,
    summary="Send a whole file, or a chunk of one",
    responses={**documentation.CHUNK_TAKEN, **RANGES_TAKEN, 412: documentation.OTHER_VERSION},
    openapi_extra=documentation.CHUNK,
)
async def send(request: Request, caller: Preparing, service: ServiceDep) -> Response:
    """Send the first chunk of a file, or with `upload_id` a further one. Without Content-Range, send a whole file.

    The form's first part with a file name is the chunk, whatever its field is called. The fields come before it. With
    `Upload-Complete`, the request means the same as with POST.
    """
    return await spoken_by(request).create(request, caller, service)


@router.put(
    "/{upload_id}",
    status_code=200,
    summary="Send a further chunk, or ask for the offset",
    responses={200: {"model": ChunkedUploadView}, **RANGES_TAKEN},
    openapi_extra=documentation.FURTHER_CHUNK,
)
async def send_further(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """Send the chunk that begins at the offset; `Content-Range: bytes */<length>` and no body ask for the offset."""
    return await content_range.send(request, upload_id, caller, service)


@router.post(
    "/{upload_id}",
    status_code=200,
    summary="Complete an upload in chunks",
    responses={200: {"model": CompletedUploadView}, 202: {"model": CompletedUploadView}, **RANGES_TAKEN},
    openapi_extra=documentation.COMPLETE,
)
async def complete(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """Name the digest of the whole file: its `sha256`, or its `md5`, or both.

    With 200 the file is STORED; with 202 a worker reads the bytes back first. A repeat gets the same answer.
    """
    return await content_range.send(request, upload_id, caller, service)


@router.head(
    "/{upload_id}",
    summary="Tell how much of an upload is stored",
    response_class=Response,
    responses={200: documentation.LOOKED_AT, 204: documentation.DRAFT_LOOKED_AT, **LOOKED},
    openapi_extra=documentation.LOOK,
)
async def look(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """Tell the offset, from which the next request has to go on. A request that still sends bytes ends first."""
    return await protocol_of(request).look(request, upload_id, caller, service)


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Send bytes of an upload",
    responses={204: documentation.APPENDED, **COMPLETED, **TAKEN},
    openapi_extra=documentation.APPEND,
)
async def append_body(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """Append the body, from Upload-Offset on. The answer's Upload-Offset counts only bytes that are durable.

    With `Upload-Complete: ?1` the file ends with the body, and the answer has its record.
    """
    return await protocol_of(request).append_body(request, upload_id, caller, service)


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="End an upload and delete its bytes",
    responses={204: documentation.DELETED, **LOOKED},
    openapi_extra=documentation.LOOK,
)
async def end(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """End the upload. A file that is stored already is deleted, which needs the scope `delete`."""
    return await protocol_of(request).end(request, upload_id, caller, service)

"""The routes at `/uploads` that several protocols share. Each request goes to the protocol that it speaks."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Path, Request, Response

from api.auth import Preparing
from api.dependencies import Service, ServiceDep, get_service
from api.uploads import documentation, tus
from api.uploads.body import Unanswered
from api.uploads.route import UploadRoute
from api.uploads.tus_fields import capability_fields
from gridhaul.asgi.problems import documented
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import GridhaulError, RequestTimeout


class UploadProtocol(Protocol):
    """A protocol in which clients upload a file in several requests, each of which goes on where the last one ended."""

    async def create(self, request: Request, caller: Caller, service: Service) -> Response: ...

    async def look(self, request: Request, upload_id: str, caller: Caller, service: Service) -> Response: ...

    async def append_body(self, request: Request, upload_id: str, caller: Caller, service: Service) -> Response: ...

    async def end(self, request: Request, upload_id: str, caller: Caller, service: Service) -> Response: ...

    def marked(self, response: Response) -> Response:
        """Return the answer with the fields that all answers of the protocol have."""

    def refused(self, request: Request, error: GridhaulError) -> Response:
        """Return the answer to a request that ended with the error."""


def protocol_of(request: Request) -> UploadProtocol:
    """Return the protocol that the request speaks."""
    return tus


class ResumableRoute(UploadRoute):
    """A route whose answers have the form that the request's protocol asks for.

    It closes the connection of a body that stands still: tus-js-client gives an upload up after an answer 408, but goes
    on after a connection that ended.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            protocol = protocol_of(request)
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


@router.options(
    "", status_code=204, summary="Tell what upload clients can do here", responses={204: documentation.OFFERED}
)
@router.options("/{upload_id}", status_code=204, include_in_schema=False)
async def options(request: Request) -> Response:
    """Answer without a token, too. With one, `Tus-Max-Size` says how much the account may still send."""
    service = await get_service(request)
    caller: Caller | None = getattr(request.state, "caller", None)
    free = await service.usage.free_bytes(caller.username) if caller else None
    limits = [most for most in (free, service.max_file_bytes) if most is not None]
    return Response(status_code=204, headers=capability_fields(max_bytes=min(limits, default=None)))


@router.post(
    "",
    status_code=201,
    summary="Begin an upload",
    response_class=Response,
    responses={201: documentation.CREATED, **TAKEN},
    openapi_extra=documentation.CREATE,
)
async def create(request: Request, caller: Preparing, service: ServiceDep) -> Response:
    """Begin an upload. The body may already have its first bytes."""
    return await protocol_of(request).create(request, caller, service)


@router.head(
    "/{upload_id}",
    summary="Tell how much of an upload is stored",
    response_class=Response,
    responses={200: documentation.LOOKED_AT, **LOOKED},
    openapi_extra=documentation.LOOK,
)
async def look(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """Tell the offset, from which the next request has to go on. A request that still sends bytes ends first."""
    return await protocol_of(request).look(request, upload_id, caller, service)


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Send bytes of an upload",
    responses={204: documentation.APPENDED, **TAKEN},
    openapi_extra=documentation.APPEND,
)
async def append_body(request: Request, upload_id: UploadId, caller: Preparing, service: ServiceDep) -> Response:
    """Append the body, from Upload-Offset on. The answer's Upload-Offset counts only bytes that are durable."""
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

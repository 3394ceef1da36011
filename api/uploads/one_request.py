"""The doors for one request: `PUT /named/{name}` and `POST /files`."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from api.auth import Preparing
from api.dependencies import Service, ServiceDep
from api.named_digest import sha256_in_headers, sha256_in_hex
from api.schemas import DeliverTo, FilesView, FileView, TargetName
from api.uploads import documentation
from api.uploads.appending import append
from api.uploads.body import declared_length, fast_enough, media_type_of
from api.uploads.creating import create_upload
from api.uploads.ending import discarded_if_lost
from api.uploads.file_answer import file_answer
from api.uploads.form import FormFile, read_form
from api.uploads.route import UploadRoute
from gridhaul.asgi.problems import documented
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import LengthMismatch, Malformed, OffsetMismatch
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door

router = APIRouter(tags=["uploads"], route_class=UploadRoute)

TAKEN = {**documented(400, 408, 413, 507), 409: documentation.MOVED_ON}
FILE = {"model": FileView}
CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
Name = Annotated[str, Path(max_length=4096, description="The file's name; also its name at a target")]
Target = Annotated[
    list[TargetName],
    Query(alias="target", max_length=16, description="Deliver the file to this target; may be repeated"),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class _RestOfFile:
    """The bytes of a file from `first` to its end. `length` is that of the whole file in bytes."""

    first: int
    length: int


@router.put(
    "/named/{name:path}",
    status_code=201,
    summary="Upload a file in one request",
    responses={201: FILE | documentation.STORED, 202: FILE | documentation.TAKEN_FURTHER, **TAKEN},
    openapi_extra=documentation.NAMED,
)
async def put_named(
    request: Request,
    name: Name,
    caller: Preparing,
    service: ServiceDep,
    target: Target = [],  # noqa: B006
) -> Response:
    """Store the body as a new file with this name.

    If the connection breaks, what has arrived is kept. A request with `Content-Range: bytes <offset>-<last>/<length>`
    continues the newest upload to this name that is not complete; `curl -C <offset> -T` sends it.
    """
    rest, sha256 = _rest_of_file(request), sha256_in_headers(request.headers)
    unfinished = None
    if rest is not None:
        records = service.uploads.registry
        unfinished = await records.unfinished(caller.username, name, Door.PUT, length=rest.length)
    stored = unfinished.stored_bytes if unfinished else 0
    if rest is not None and rest.first != stored:
        raise OffsetMismatch(f"{stored} bytes are stored; go on from there.", offset=stored)
    file = unfinished or await create_upload(
        service,
        caller,
        name=name,
        length=rest.length if rest else declared_length(request),
        door=Door.PUT,
        sha256=sha256,
        deliver_to=[DeliverTo(target=one) for one in target],
    )
    async with discarded_if_lost(service, caller, file, can_continue=True):
        offset = await append(
            service.uploads,
            file,
            _body(request, service),
            offset=stored,
            length=rest.length if rest else None,
            ends_file=rest is None,
            sha256=sha256,
        )
        if rest is not None and offset < rest.length:
            raise LengthMismatch(f"Fewer bytes arrived than the file has; {offset} are stored.")
    return await file_answer(request, service, caller, file)


@router.post(
    "/files",
    status_code=201,
    summary="Upload a file, or several in a form",
    responses={201: {"model": FileView | FilesView}, 202: FILE | documentation.TAKEN_FURTHER, **TAKEN},
    openapi_extra=documentation.FILES,
)
async def post_files(
    request: Request,
    caller: Preparing,
    service: ServiceDep,
    name: Annotated[str, Query(max_length=4096, description="The file's name; a form has names of its own")] = "upload",
    target: Target = [],  # noqa: B006
) -> Response:
    """Store the body as a new file; of a form (`multipart/form-data`), each part that has a file name.

    If the request breaks off, the files that were complete are stored, and what arrived of another one is deleted.
    """
    deliver_to = [DeliverTo(target=one) for one in target]
    if media_type_of(request) == "multipart/form-data":
        form = read_form(request.headers["Content-Type"], _body(request, service))
        async with service.uploads.memory.hold_for_form(caller.username):
            files = [await _part(service, caller, part, deliver_to) async for part in form]
        if not files:
            raise Malformed("The form has no part with a file name.")
        view = FilesView(files=[FileView.of(file, service.obstacles) for file in files], next_cursor=None)
        return JSONResponse(view.model_dump(mode="json", by_alias=True), status_code=201)
    file = await create_upload(
        service,
        caller,
        name=name,
        length=declared_length(request),
        door=Door.POST,
        sha256=sha256_in_headers(request.headers),
        deliver_to=deliver_to,
    )
    async with discarded_if_lost(service, caller, file, can_continue=False):
        await append(service.uploads, file, _body(request, service), offset=0, ends_file=True)
    return await file_answer(request, service, caller, file)


async def _part(service: Service, caller: Caller, part: FormFile, deliver_to: list[DeliverTo]) -> File:
    sha256 = sha256_in_hex(part.fields.get("sha256"))
    file = await create_upload(
        service, caller, name=part.filename, length=None, door=Door.FORM, sha256=sha256, deliver_to=deliver_to
    )
    async with discarded_if_lost(service, caller, file, can_continue=False):
        await append(service.uploads, file, part.data, offset=0, ends_file=True)
    return await service.file(caller, file.id)


def _body(request: Request, service: Service) -> AsyncIterator[bytes]:
    return fast_enough(request, service.uploads.stall_seconds)


def _rest_of_file(request: Request) -> _RestOfFile | None:
    """Return what Content-Range says, or None without it. Raises Malformed, LengthMismatch."""
    field, coming = request.headers.get("Content-Range"), declared_length(request)
    if field is None:
        return None
    found = CONTENT_RANGE.fullmatch(field.strip())
    if found is None:
        raise Malformed("Content-Range must be: bytes first-last/length.")
    first, last, length = map(int, found.groups())
    if not first <= last < length or last != length - 1:
        raise Malformed("The range of Content-Range must end with the last byte of the file.")
    if coming is not None and coming != last - first + 1:
        raise LengthMismatch("There are more or fewer bytes than Content-Range says.")
    return _RestOfFile(first=first, length=length)

"""The answer to a request that has finished an upload: the file's record, its address and its digest."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from api.dependencies import Service
from api.schemas import FileView
from api.uploads.creating import base_address
from gridhaul.outgoing.headers import write_repr_digest
from gridhaul.transfer.access import Caller
from gridhaul.transfer.model import File
from gridhaul.transfer.states import FileState


def file_address(request: Request, service: Service, file: File) -> str:
    """Return the absolute address of the file's record."""
    return f"{base_address(request, service)}/files/{file.id}"


async def file_answer(request: Request, service: Service, caller: Caller, file: File) -> Response:
    """Return the answer that has the file's record: 201, or 202 while a worker still reads the bytes back."""
    file = await service.file(caller, file.id)
    return answer_with(request, service, file, FileView.of(file, service.obstacles), status=201)


def answer_with(request: Request, service: Service, file: File, view: FileView, *, status: int) -> Response:
    """Return an answer as `file_answer` does, with this view and this status of a file that is STORED."""
    headers = {"Location": file_address(request, service, file)}
    if file.sha256 is not None:
        headers |= {"Repr-Digest": write_repr_digest(file.sha256), "ETag": f'"{file.sha256}"'}
    content = view.model_dump(mode="json", by_alias=True)
    return JSONResponse(content, status_code=status if file.state is FileState.STORED else 202, headers=headers)

"""Requests that complete an upload by naming its digest, and whole files in one request, which complete themselves."""

from collections.abc import AsyncIterator, Mapping

from fastapi import Request, Response

from api.dependencies import Service
from api.named_digest import NamedDigests, md5_in_hex, sha256_in_headers, sha256_in_hex
from api.schemas import FileView
from api.uploads.appending import append, complete
from api.uploads.body import declared_length
from api.uploads.content_range.chunk_requests import new_upload
from api.uploads.content_range.fields import CompletedUploadView, upload_id_of
from api.uploads.content_range.sent_file import SentFile
from api.uploads.creating import address
from api.uploads.ending import discarded_if_lost
from api.uploads.file_answer import answer_with
from api.uploads.parts import upload_of
from api.uploads.states import has_all_bytes, refusal
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import DigestMismatch, DigestRequired, UploadTakenOver
from gridhaul.transfer.model import File
from gridhaul.transfer.states import FileState


async def take_whole(
    request: Request, caller: Caller, service: Service, sent: SentFile, data: AsyncIterator[bytes]
) -> Response:
    """Store a file that one request sends whole. It may name digests, in a form also after the file."""

    def named() -> NamedDigests:
        return _named_digests(request, sent.fields)

    named()  # raises before the file is read
    length = declared_length(request) if sent.filename is None else None
    file = await new_upload(request, caller, service, sent, length=length)
    async with discarded_if_lost(service, caller, file, can_continue=False):
        await append(service.uploads, file, data, offset=0, ends_file=True, named_at_end=named)
    return _answer(request, service, await service.file(caller, file.id), status=201)


async def complete_upload(
    request: Request, caller: Caller, service: Service, file: File, fields: Mapping[str, str]
) -> Response:
    """Complete the upload, all of whose bytes are stored. A repeat after success is a success, too."""
    named = _named_digests(request, fields)
    if not named:
        raise DigestRequired("Name the md5 or the sha256 of the whole file, in hex.")
    if file.state is FileState.RECEIVING:
        try:
            await complete(service.uploads, file, named)
        except UploadTakenOver:
            if (await service.file(caller, file.id)).state is FileState.RECEIVING:
                raise
    file = await service.file(caller, file.id)
    if not has_all_bytes(file):
        raise refusal(file)
    _require_same(file, named)
    return _answer(request, service, file, status=200)


def _named_digests(request: Request, fields: Mapping[str, str]) -> NamedDigests:
    """Return the digests of the file that the request names. Raises Malformed, DigestMismatch."""
    in_headers = sha256_in_headers(request.headers)
    in_fields = sha256_in_hex(fields.get("sha256") or fields.get("sha-256") or None)
    if in_headers and in_fields and in_headers != in_fields:
        raise DigestMismatch("Two digests are named for the file, and they differ; name only its SHA-256.")
    return NamedDigests(sha256=in_headers or in_fields, md5=md5_in_hex(fields.get("md5") or None))


def _require_same(file: File, named: NamedDigests) -> None:
    """Raise DigestMismatch if the file has another digest than those named.

    As long as a worker reads the bytes back, nobody knows a digest that was not named before.
    """
    upload, is_stored = upload_of(file), file.state is FileState.STORED
    for digest, known in ((named.sha256, file.sha256 or upload.sha256), (named.md5, upload.md5)):
        if digest not in (None, known) and (known is not None or is_stored):
            raise DigestMismatch("The upload was completed, and its bytes have another digest; name their SHA-256.")


def _answer(request: Request, service: Service, file: File, *, status: int) -> Response:
    record = FileView.of(file, service.obstacles).model_dump(by_alias=True)
    view = CompletedUploadView(**record, upload_id=upload_id_of(file), url=address(request, service, file))
    return answer_with(request, service, file, view, status=status)

"""The door for clients that send a file in requests with Content-Range, at `/uploads`.

They speak as the Django packages django-chunked-upload and drf-chunked-upload, and jQuery File Upload, do.
"""

import re
from collections.abc import Mapping

from fastapi import Request, Response

from api.dependencies import Service
from api.uploads.body import declared_length, media_type_of
from api.uploads.content_range.chunk_requests import take_chunk, take_first, tell_offset
from api.uploads.content_range.completion import complete_upload, take_whole
from api.uploads.content_range.fields import SentRange
from api.uploads.content_range.sent_file import FORM, SentFile, sends_fields_only, sent_fields, sent_file
from api.uploads.creating import upload_at
from api.uploads.ordered import require_door
from gridhaul.asgi.problems import answer
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import GridhaulError, InvalidValue, Malformed, OffsetMismatch
from gridhaul.transfer.model import File
from gridhaul.transfer.origins import Door

DOORS = frozenset({Door.RANGES})
UPLOAD_ID = re.compile("[0-9a-f]{56}")
NAME_IT = (
    "Only the first chunk of a file begins an upload. Send the others to the url in the answer to the first one, or "
    "with its upload_id, as a field that comes before the file."
)


def marked(response: Response) -> Response:
    return response


def refused(request: Request, error: GridhaulError) -> Response:
    """Return the answer to a request that ended with the error. A wrong offset is told as the packages tell it."""
    if not isinstance(error, OffsetMismatch):
        return answer(request, error)
    sent = SentRange.read(request.headers.get("Content-Range"))
    provided = {} if sent is None or sent.first is None else {"provided_offset": sent.first}
    return answer(request, error, expected_offset=error.offset, **provided)


async def create(request: Request, caller: Caller, service: Service) -> Response:
    """Take a whole file, or the first chunk of one. With the field `upload_id`, do what `send` does."""
    part = _range_of(request)
    if part is None and sends_fields_only(request):
        fields = await sent_fields(request, caller, service)
        return await complete_upload(request, caller, service, await _named(service, caller, fields), fields)
    async with sent_file(request, caller, service) as sent:
        if sent.fields.get("upload_id") or sent.data is None:
            file = await _named(service, caller, sent.fields)
            return await _go_on(request, caller, service, file, sent, part)
        if part is None:
            return await take_whole(request, caller, service, sent, sent.data)
        if part.first != 0:
            raise Malformed(NAME_IT)
        return await take_first(request, caller, service, sent, sent.data, part)


async def send(request: Request, upload_id: str, caller: Caller, service: Service) -> Response:
    """Take a further chunk of the upload. A POST without Content-Range completes it."""
    part = _range_of(request)
    if part is None and request.method != "POST":
        raise Malformed("Content-Range must say which bytes of the file are sent.")
    file = await upload_at(service, caller, upload_id)
    require_door(file, DOORS)
    if part is None:
        fields = await sent_fields(request, caller, service)
        return await complete_upload(request, caller, service, file, fields)
    async with sent_file(request, caller, service) as sent:
        return await _go_on(request, caller, service, file, sent, part)


async def _go_on(
    request: Request, caller: Caller, service: Service, file: File, sent: SentFile, part: SentRange | None
) -> Response:
    """Do what the request asks of the upload: append its bytes, tell the offset, or complete the upload."""
    if part is not None and part.first is None:
        return await tell_offset(request, caller, service, file, part)
    if part is not None and sent.data is not None:
        return await take_chunk(request, caller, service, file, sent.data, part)
    if part is None and sent.data is None:
        return await complete_upload(request, caller, service, file, sent.fields)
    raise Malformed("A chunk needs both its bytes and Content-Range, which says which bytes of the file they are.")


def _range_of(request: Request) -> SentRange | None:
    """Return what Content-Range says. Raises Malformed, also if the body has another length and is no form."""
    part = SentRange.read(request.headers.get("Content-Range"))
    coming = None if media_type_of(request) == FORM else declared_length(request)
    if part is not None and coming not in (None, part.count):
        raise Malformed("There are more or fewer bytes than Content-Range says.")
    return part


async def _named(service: Service, caller: Caller, fields: Mapping[str, str]) -> File:
    """Return the upload that the field `upload_id` names. Raises Malformed, InvalidValue, NotFound, DoorConflict."""
    upload_id = fields.get("upload_id")
    if not upload_id:
        raise Malformed("There is neither a file nor the field upload_id.")
    if not UPLOAD_ID.fullmatch(upload_id):
        raise InvalidValue("upload_id is not as the answer to the first chunk had it.")
    file = await upload_at(service, caller, upload_id)
    require_door(file, DOORS)
    return file

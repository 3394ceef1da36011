"""The file, or the chunk of a file, that a request sends as its body or in a form, and the fields beside it."""

import json
from collections import ChainMap
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import Request

from api.dependencies import Service
from api.uploads.body import declared_length, fast_enough, media_type_of
from api.uploads.form import FIELDS_MOST, FormFile, read_form
from gridhaul.asgi.bounded_route import FORM_BYTES, JSON, read_body
from gridhaul.asgi.json_text import check_json
from gridhaul.asgi.request_limits import RequestLimits
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import Malformed, UnsupportedMediaType

FORM = "multipart/form-data"
FIELDS = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True, slots=True)
class SentFile:
    """The content of a request. Fields that follow the file in a form are there once the data were read to the end."""

    fields: Mapping[str, str]  # of the form and of the query
    filename: str | None  # of the part of a form; None: the body is the file
    data: AsyncIterator[bytes] | None  # None: the form has no file


@asynccontextmanager
async def sent_file(request: Request, caller: Caller, service: Service) -> AsyncGenerator[SentFile]:
    """Yield what the request sends. A form is read up to its file.

    Raises Malformed, UploadsBusy, and what the body raises.

    Reading the data raises Malformed if the form has a further file.
    """
    body = fast_enough(request, service.uploads.stall_seconds)
    if media_type_of(request) != FORM:
        yield SentFile(fields=request.query_params, filename=None, data=body)
        return
    of_form = dict[str, str]()
    form = read_form(request.headers["Content-Type"], body, of_form)
    async with service.uploads.memory.hold_for_form(caller.username), aclosing(form) as files:
        fields, file = ChainMap(of_form, dict(request.query_params)), await anext(files, None)
        if file is None:
            yield SentFile(fields=fields, filename=None, data=None)
        else:
            yield SentFile(fields=fields, filename=file.filename, data=_only(file, files))


async def _only(file: FormFile, files: AsyncIterator[FormFile]) -> AsyncIterator[bytes]:
    async for part in file.data:
        yield part
    async for _ in files:
        raise Malformed("The form has two files; send each file, or each chunk of one, in a form of its own.")


async def sent_fields(request: Request, caller: Caller, service: Service) -> Mapping[str, str]:
    """Return the fields of the query and of a request that sends no file. Raises Malformed, UnsupportedMediaType."""
    if media_type_of(request) != FORM:
        return ChainMap(await _fields_of_body(request), dict(request.query_params))
    async with sent_file(request, caller, service) as sent:
        if sent.data is not None:
            raise Malformed("The form has a file, and no Content-Range says which bytes of the upload it has.")
        return sent.fields


async def _fields_of_body(request: Request) -> dict[str, str]:
    limits: RequestLimits = request.app.state.request_limits
    body = await read_body(request, max_bytes=FORM_BYTES, within_seconds=limits.stall_seconds)
    if not body:
        return {}
    if media_type_of(request) == FIELDS:
        return _urlencoded(body)
    if media_type_of(request) == JSON:
        check_json(body, max_depth=limits.json_depth)
        return _members(json.loads(body))
    raise UnsupportedMediaType(f"The body must be {FORM}, {FIELDS} or {JSON}, and Content-Type must say so.")


def _urlencoded(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=FIELDS_MOST))
    except ValueError:
        raise Malformed(f"A form may have {FIELDS_MOST} fields.") from None


def _members(value: object) -> dict[str, str]:
    """Return the members of an object that are texts: all others say nothing here."""
    if not isinstance(value, dict):
        raise Malformed("The body must be an object.")
    return {name: text for name, text in value.items() if isinstance(text, str)}


def sends_fields_only(request: Request) -> bool:
    """Return whether the body of a request to `/uploads` is a form without a file.

    Raises UnsupportedMediaType if the body is too long for such a form: some programs send a file with that type.
    """
    if request.method != "POST" or media_type_of(request) != FIELDS:
        return False
    length = declared_length(request)
    if length is None or length > FORM_BYTES:
        raise UnsupportedMediaType(f"Content-Type must say what the body is: {FORM}, or application/octet-stream.")
    return True

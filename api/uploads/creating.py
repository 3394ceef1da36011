"""Registering an upload: what the client says of it, and what is reserved for it."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from api.account_limits import register_charged, room_for_one
from api.dependencies import Service
from api.prepare import destinations
from api.schemas import DeliverTo
from api.uploads.parts import require_allowed, upload_of
from gridhaul.transfer.access import Caller
from gridhaul.transfer.errors import IdempotencyConflict, NotFound
from gridhaul.transfer.media_types import media_type
from gridhaul.transfer.model import (
    File,
    NewFile,
    Queue,
    RecordId,
)
from gridhaul.transfer.naming import check_object_name
from gridhaul.transfer.origins import Door, Upload

ID_DIGITS = 24


@dataclass(frozen=True, slots=True)
class Key:
    """The Idempotency-Key of a request, and the fingerprint of the request that a repeat must have, too."""

    key: str | None = None
    request_fingerprint: str | None = None


NO_KEY = Key()


async def create_upload(
    service: Service,
    caller: Caller,
    *,
    name: str,
    length: int | None,
    door: Door,
    metadata: str = "",
    sha256: str | None = None,
    deliver_to: Sequence[DeliverTo] = (),
    content_type: str | None = None,
    key: Key = NO_KEY,
    concat: str = "",
    parts: Sequence[File] = (),
) -> File:
    """Register an upload of `length` bytes, which count against the owner's quota from now on. None: not known yet.

    With `parts`, a worker joins these to the file; `concat` is the field that named them (tus 1.0.0).

    Without a `content_type`, the name tells the media type.

    Raises PayloadTooLarge, QuotaExceeded, TooManyOpenFiles, InvalidValue, and the errors of `destinations`.
    """
    check_object_name(name)
    require_allowed(service.max_file_bytes, length or 0)
    large = length is None or length > service.large_file_bytes
    new = NewFile(
        owner=caller.username,
        name=name,
        content_type=content_type or media_type(name),
        length=length or 0,
        origin=Upload(
            door=door,
            token=secrets.token_hex(16),
            metadata=metadata,
            length_deferred=length is None,
            began_without_length=length is None,
            sha256=sha256,
            concat=concat,
            parts=tuple(part.id for part in parts),
        ),
        queue=Queue.LARGE if large else Queue.SMALL,
        deliver_to=await destinations(deliver_to, name, caller=caller, service=service),
        idempotency_key=key.key,
        request_fingerprint=key.request_fingerprint,
    )
    async with room_for_one(service, caller.username, account=caller.account):
        file, _ = await register_charged(service, new, service.uploads.registry.create)
    if file.request_fingerprint != key.request_fingerprint:
        raise IdempotencyConflict("This Idempotency-Key was used with another request; take a new one.")
    return file


def base_address(request: Request, service: Service) -> str:
    """Return what every absolute address begins with: the configured one, else the one of the request."""
    return service.uploads.public_url or str(request.base_url).rstrip("/")


def address(request: Request, service: Service, file: File) -> str:
    """Return the absolute address of an upload. Nobody can guess it, and only the owner's requests to it are taken."""
    return f"{base_address(request, service)}/uploads/{file.id}{upload_of(file).token}"


async def upload_at(service: Service, caller: Caller, upload_id: str) -> File:
    """Return the file whose upload has the id, the last part of its address. Raises NotFound."""
    file = await service.file(caller, RecordId(upload_id[:ID_DIGITS]))
    if file.upload is None or not secrets.compare_digest(file.upload.token, upload_id[ID_DIGITS:]):
        raise NotFound("There is no such upload.")
    return file

"""`POST /upload/{file_id}/finalize`: deliver a stored file, if it is the file that the caller means."""

import re
from typing import Annotated

from fastapi import APIRouter, Header, Response

from api.auth import Finalizing
from api.dependencies import Id, Parts
from api.schemas import DeliveryView, FinalizeBody
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.headers import read_repr_digest
from gridhaul.transfer.errors import DigestMismatch, DigestRequired, LengthMismatch, Malformed
from gridhaul.transfer.model import Destination, Hint, NewDelivery, TaskName
from gridhaul.transfer.naming import check_object_name
from gridhaul.transfer.states import DeliveryState

router = APIRouter(prefix="/upload", tags=["upload"], route_class=BoundedRoute)

ReprDigest = Annotated[str | None, Header(description="RFC 9530: `sha-256=:…:`")]
ContentSha256 = Annotated[str | None, Header(alias="content-sha256", description="The SHA-256 in hex")]


@router.post("/{file_id}/finalise", status_code=202, include_in_schema=False)
@router.post(
    "/{file_id}/finalize",
    status_code=202,
    summary="Deliver a stored file to a target",
    responses={200: {"model": DeliveryView, "description": "The delivery was asked for before"}},
)
async def finalize(
    file_id: Id,
    body: FinalizeBody,
    response: Response,
    caller: Finalizing,
    parts: Parts,
    repr_digest: ReprDigest = None,
    content_sha256: ContentSha256 = None,
) -> DeliveryView:
    """The digest says which bytes are meant; they are verified again on their way. Repeated: the same delivery."""
    sha256 = _digest(repr_digest, content_sha256)
    parts.check_target(caller, body.target)
    file = await parts.stored_file(caller, file_id)
    if sha256 != file.sha256:
        raise DigestMismatch("The stored file has another digest.")
    if body.length is not None and body.length != file.length:
        raise LengthMismatch(f"The stored file has {file.length} bytes.")
    object_name = check_object_name(body.object_name or file.name)
    destination = Destination(target=body.target, object_name=object_name, if_exists=body.if_exists)
    new = NewDelivery(
        file_id=file.id, owner=file.owner, destination=destination, length=file.length, sha256=sha256, queue=file.queue
    )
    delivery, queued = await parts.deliveries.open(new)
    if delivery.state is not DeliveryState.DELIVERED:
        await parts.accept(delivery)
    if queued:
        parts.hints.offer(Hint(task=TaskName.FINALIZE_FILE, record_id=delivery.id, queue=delivery.queue))
    else:
        response.status_code = 200
    response.headers["Location"] = f"/deliveries/{delivery.id}"
    return DeliveryView.of(delivery)


def _digest(repr_digest: str | None, content_sha256: str | None) -> str:
    """The SHA-256 that the caller names, in hex. Raises DigestRequired, Malformed."""
    if content_sha256 is not None:
        if not re.fullmatch("[0-9a-fA-F]{64}", content_sha256):
            raise Malformed("content-sha256 must be 64 hex digits.")
        return content_sha256.lower()
    sha256 = read_repr_digest(repr_digest) if repr_digest else None
    if sha256 is None:
        raise DigestRequired("Name the file's SHA-256 in Repr-Digest (RFC 9530) or content-sha256.")
    return sha256

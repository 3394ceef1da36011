"""`POST /upload/{file_id}/finalize`: deliver a stored file whose SHA-256 is the digest that the request names."""

from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic.json_schema import SkipJsonSchema

from api.auth import Finalizing
from api.dependencies import Id, ServiceDep
from api.members import hint, let_batch_go_on
from api.named_digest import sha256_in_fields
from api.schemas import LOCATION, DeliveryView, FinalizeBody
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.transfer.errors import DigestMismatch, DigestRequired, LengthMismatch
from gridhaul.transfer.model import Destination, NewDelivery, TaskName
from gridhaul.transfer.naming import check_object_name
from gridhaul.transfer.states import REOPENABLE, DeliveryState

router = APIRouter(prefix="/upload", tags=["upload"], route_class=BoundedRoute)

ReprDigest = Annotated[
    str | SkipJsonSchema[None],
    Header(
        description="The file's SHA-256 (RFC 9530)",
        json_schema_extra={"pattern": "^sha-256=:[A-Za-z0-9+/]{43}=:$"},
        examples=["sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"],
    ),
]
ContentSha256 = Annotated[
    str | SkipJsonSchema[None],
    Header(
        alias="content-sha256",
        description="The file's SHA-256 in hex",
        json_schema_extra={"pattern": "^[0-9a-fA-F]{64}$"},
    ),
]


@router.post("/{file_id}/finalise", status_code=202, include_in_schema=False)
@router.post(
    "/{file_id}/finalize",
    status_code=202,
    summary="Deliver a stored file to a target",
    responses={
        200: {"model": DeliveryView, "description": "The same delivery was asked for before", **LOCATION},
        202: LOCATION,
        **documented(404, 409),
    },
)
async def finalize(
    file_id: Id,
    body: FinalizeBody,
    response: Response,
    caller: Finalizing,
    service: ServiceDep,
    repr_digest: ReprDigest = None,
    content_sha256: ContentSha256 = None,
) -> DeliveryView:
    """Deliver the file. Its SHA-256, in one of the two headers, says which bytes the client means.

    The bytes are verified again while they are sent. A repeated request gets the same delivery, and queues it again if
    it failed or was cancelled; it is refused while the delivery's batch is paused, is being cancelled, or is deleted.
    If a check found its object lost (`object_error`), only a retry delivers it again.
    """
    sha256 = sha256_in_fields(repr_digest=repr_digest, content_sha256=content_sha256)
    if sha256 is None:
        raise DigestRequired("Name the file's SHA-256 in Repr-Digest (RFC 9530) or content-sha256.")
    service.check_target(caller, body.target)
    file = await service.stored_file(caller, file_id)
    if sha256 != file.sha256:
        raise DigestMismatch("The stored file has another digest.")
    if body.length is not None and body.length != file.length:
        raise LengthMismatch(f"The stored file has {file.length} bytes.")
    object_name = check_object_name(body.object_name or file.name)
    destination = Destination(target=body.target, object_name=object_name, if_exists=body.if_exists)
    await service.targets.require_possible([destination])
    new = NewDelivery(
        file_id=file.id,
        owner=file.owner,
        destination=destination,
        length=file.length,
        sha256=sha256,
        queue=file.queue,
        source_path=file.origin.shown_path,
    )
    there = await service.deliveries.get(new.id)
    if there is not None and there.state in REOPENABLE:
        await let_batch_go_on(service, there)
    delivery, queued = await service.deliveries.open(new, who=caller.username)
    if delivery.state is not DeliveryState.DELIVERED:
        await service.accept(delivery)
    if queued:
        await hint(service, delivery, TaskName.FINALIZE_FILE)
    else:
        response.status_code = 200
    response.headers["Location"] = f"/deliveries/{delivery.id}"
    return DeliveryView.of(delivery, service.obstacles)

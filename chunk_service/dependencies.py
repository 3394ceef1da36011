"""What the routes of the chunk service are given."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from chunk_service.intake_limits import DiskReserve
from gridhaul.asgi.concurrency_limit import ConcurrencyLimit
from gridhaul.asgi.readiness import Readiness
from gridhaul.chunk_service_client.grants import (
    BundleGrant,
    ContentGrant,
    RepairGrant,
    verify,
    verify_bundle,
    verify_repair,
)
from gridhaul.transfer.errors import Forbidden, Malformed, StaleFence, Unauthorized
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports import Intake


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """The parts that live as long as the process."""

    intake: Intake
    secret: str = field(repr=False)
    memory: ConcurrencyLimit
    disk: DiskReserve
    stall_seconds: float
    collections: Readiness


async def get_service(request: Request) -> Service:
    """The service, once its collections are there."""
    found: Service = request.app.state.service
    await found.collections.check()
    return found


ContentId = Annotated[RecordId, Path(pattern="^[0-9a-f]{24}$")]
ServiceDep = Annotated[Service, Depends(get_service)]
_bearer = HTTPBearer(
    auto_error=False, description="A worker's token for the content in the path, to repair it, or for a bundle"
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def grant(credentials: Credentials, content_id: ContentId, service: ServiceDep) -> ContentGrant:
    """The right to write to the content in the path, from the bearer token."""
    granted = verify(_token(credentials), secret=service.secret)
    _require_same(granted.content_id, content_id)
    return granted


async def repair_grant(credentials: Credentials, content_id: ContentId, service: ServiceDep) -> RepairGrant:
    """The right to repair the content in the path, from the bearer token."""
    granted = verify_repair(_token(credentials), secret=service.secret)
    _require_same(granted.content_id, content_id)
    return granted


async def bundle_grant(credentials: Credentials, service: ServiceDep) -> BundleGrant:
    """The right to store a bundle, from the bearer token."""
    return verify_bundle(_token(credentials), secret=service.secret)


def _token(credentials: HTTPAuthorizationCredentials | None) -> str:
    if credentials is None:
        raise Unauthorized("A bearer token is needed.")
    return credentials.credentials


def _require_same(granted: RecordId, wanted: RecordId) -> None:
    if granted != wanted:
        raise Forbidden("The token is for another content.")


Granted = Annotated[ContentGrant, Depends(grant)]
GrantedRepair = Annotated[RepairGrant, Depends(repair_grant)]
GrantedBundle = Annotated[BundleGrant, Depends(bundle_grant)]


async def lease_fence(request: Request, granted: Granted) -> int:
    """The header `Lease-Fence`, which must be the token's."""
    text = request.headers.get("Lease-Fence", "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Malformed("Lease-Fence must be the number of the lease.")
    if int(text) != granted.fence:
        raise StaleFence("The token is for another fence.")
    return granted.fence


Fence = Annotated[int, Depends(lease_fence)]

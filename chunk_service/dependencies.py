"""The dependencies of the chunk service's routes: the service, the rights in the token, and the fence."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from chunk_service.intake_limits import DiskReserve
from gridhaul.asgi.concurrency_limit import ConcurrencyLimit
from gridhaul.asgi.readiness import Readiness
from gridhaul.chunk_service_client.grants import verify, verify_bundle, verify_repair
from gridhaul.transfer.decimals import decimal_number
from gridhaul.transfer.errors import Forbidden, Malformed, StaleFence, Unauthorized
from gridhaul.transfer.grants import BundleGrant, ContentGrant, RepairGrant
from gridhaul.transfer.model import RecordId
from gridhaul.transfer.ports.contents import Intake


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """The parts of the chunk service that live as long as the process."""

    intake: Intake
    secret: str = field(repr=False)
    memory: ConcurrencyLimit
    disk: DiskReserve
    stall_seconds: float
    collections: Readiness


async def get_service(request: Request) -> Service:
    """Return the service. Raises DatabaseUnavailable until its collections exist."""
    found: Service = request.app.state.service
    await found.collections.check()
    return found


ContentId = Annotated[RecordId, Path(pattern="^[0-9a-f]{24}$")]
ServiceDep = Annotated[Service, Depends(get_service)]
_bearer = HTTPBearer(
    auto_error=False,
    description="A worker's token: for writing to or repairing the content in the path, or for storing a bundle",
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def grant(credentials: Credentials, content_id: ContentId, service: ServiceDep) -> ContentGrant:
    """Return the right to write to the content in the path, from the bearer token. Raises Unauthorized, Forbidden."""
    granted = verify(_token(credentials), secret=service.secret)
    _require_same(granted.content_id, content_id)
    return granted


async def repair_grant(credentials: Credentials, content_id: ContentId, service: ServiceDep) -> RepairGrant:
    """Return the right to repair the content in the path, from the bearer token. Raises Unauthorized, Forbidden."""
    granted = verify_repair(_token(credentials), secret=service.secret)
    _require_same(granted.content_id, content_id)
    return granted


async def bundle_grant(credentials: Credentials, service: ServiceDep) -> BundleGrant:
    """Return the right to store a bundle, from the bearer token. Raises Unauthorized."""
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
    """Return the fence in the header `Lease-Fence`. Raises Malformed, and StaleFence unless it is the token's fence."""
    fence = decimal_number(request.headers.get("Lease-Fence", ""))
    if fence is None:
        raise Malformed("Lease-Fence must be the lease's fence, a number of 1 to 18 digits.")
    if fence != granted.fence:
        raise StaleFence("The token is for another fence.")
    return granted.fence


Fence = Annotated[int, Depends(lease_fence)]

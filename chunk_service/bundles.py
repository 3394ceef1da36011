"""The chunk service's route that stores many small contents in one request."""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from chunk_service import documentation
from chunk_service.bundle_body import read_bundle
from chunk_service.dependencies import GrantedBundle, ServiceDep
from chunk_service.segment_body import declared_length
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.asgi.problems import documented
from gridhaul.transfer.states import Layout

router = APIRouter(tags=["contents"], route_class=BoundedRoute)


class BundleAnswer(BaseModel):
    stored: dict[str, Layout] = Field(description="The layout of each stored content by its id; others are refused")


@router.post("/contents", responses=documented(400, 408, 411, 413, 507), openapi_extra=documentation.BUNDLE)
async def store_bundle(request: Request, granted: GrantedBundle, service: ServiceDep) -> BundleAnswer:
    """Store small contents and seal them, each wholly or not at all. All are durable when the answer is sent."""
    length = declared_length(request)
    await service.disk.require(length)
    with service.memory.hold(length):
        contents = await read_bundle(request, granted, length=length, stall_seconds=service.stall_seconds)
        stored = await service.intake.store_whole(contents)
    return BundleAnswer(stored={str(content_id): layout for content_id, layout in stored.items()})

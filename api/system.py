"""`/workers` and `/store`: the system's parts, for admins."""

from datetime import datetime
from typing import Self

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.auth import Administering
from api.dependencies import ServiceDep
from api.schemas import FailureView
from gridhaul.asgi.bounded_route import BoundedRoute
from gridhaul.transfer.checks import Mode
from gridhaul.transfer.known_workers import KnownWorker, known_workers
from gridhaul.transfer.model import Queue
from gridhaul.transfer.store_size import Orphans, StoreSize
from gridhaul.transfer.worker_health import SILENT_SECONDS

router = APIRouter(tags=["system"], route_class=BoundedRoute)


class WorkerView(BaseModel):
    worker: str | None = Field(
        description="A random name that the worker takes at its start; null: all workers of versions without names"
    )
    host: str = Field(description="The host name where the worker runs")
    queues: list[Queue]
    processes: int = Field(
        description=f"Processes of the worker that wrote a heartbeat in the last {SILENT_SECONDS:.0f} s"
    )
    last_beat_at: datetime
    living: bool = Field(
        description=f"Whether a process of the worker wrote a heartbeat in the last {SILENT_SECONDS:.0f} s"
    )
    version: str | None = Field(description="Of Gridhaul; null: the worker has a version that does not tell it")
    storing_error: FailureView | None = Field(
        description="Why none of the living processes can store files; null: one of them can, or none lives"
    )
    passed_over: int = Field(
        description="Messages in the queues that are not Gridhaul's and that the worker ignored since it started"
    )

    @classmethod
    def of(cls, worker: KnownWorker) -> Self:
        return cls(
            worker=worker.worker,
            host=worker.host,
            queues=sorted(worker.queues),
            processes=worker.living,
            last_beat_at=worker.seen_at,
            living=worker.living > 0,
            version=worker.version,
            storing_error=FailureView.of(worker.storing_error),
            passed_over=worker.passed_over,
        )


class WorkersView(BaseModel):
    workers: list[WorkerView]


class OrphansView(BaseModel):
    """How many contents belong to nothing. The newest check of the kind `gc` has counted them."""

    chunks: int = Field(description="Contents that have chunks, but no record")
    inline: int = Field(description="Small contents whose bytes are stored, but that have no record")
    manifests: int = Field(description="Contents that have a manifest, but no record")
    bucket_files: int = Field(description="Contents that have a GridFS `files` document, but no record")
    unreferenced: int = Field(description="Contents that no file refers to")
    check_id: str
    mode: Mode = Field(description="With `repair`, the check has removed what its findings call `repaired`")
    checked_at: datetime

    @classmethod
    def of(cls, orphans: Orphans | None) -> Self | None:
        return cls(**{name: getattr(orphans, name) for name in cls.model_fields}) if orphans else None


class StoreView(BaseModel):
    total_bytes: int | None = Field(description="Of the database's file system; null: the database does not tell")
    free_bytes: int | None = Field(description="Of the database's file system; null: the database does not tell")
    used_bytes: int | None = Field(
        description="Of the database's file system, by whatever lies there; null: the database does not tell"
    )
    data_bytes: int | None = Field(
        description="All that Gridhaul keeps in its database, before compression and without indexes; null: the "
        "database does not tell"
    )
    orphans: OrphansView | None = Field(description="null: no check of the kind `gc` is DONE")
    measured_at: datetime = Field(description="When this was measured, at most every 10 s")

    @classmethod
    def of(cls, size: StoreSize) -> Self:
        sizes = ("total_bytes", "free_bytes", "used_bytes", "data_bytes")
        return cls(
            **{name: getattr(size, name) for name in sizes},
            orphans=OrphansView.of(size.orphans),
            measured_at=size.measured_at,
        )


@router.get("/workers", summary="List the workers of the last hour")
async def list_workers(_: Administering, service: ServiceDep) -> WorkersView:
    """List the workers that wrote a heartbeat in the last hour: those that live first.

    The api looks at the heartbeats once a second, and shows its latest look.
    """
    heartbeats = service.obstacles.readable_heartbeats()
    return WorkersView(workers=[WorkerView.of(worker) for worker in known_workers(heartbeats)])


@router.get("/store", summary="See how much the store holds")
async def get_store(_: Administering, service: ServiceDep) -> StoreView:
    """Return the sizes that the database tells, and the orphans that the newest finished check found."""
    return StoreView.of(await service.store_size.of(None, account=""))

"""Request and response bodies of the api. Lengths are bytes, digests lower-case hex, times RFC 3339 in UTC."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from api.obstacles import Obstacles
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.model import Delivery, Evidence, Failure, File, IfChanged, IfExists, Receipt
from gridhaul.transfer.states import DeliveryState, FileState, Layout

LOCATION: dict[str, Any] = {"headers": {"Location": {"required": True, "schema": {"type": "string"}}}}


def _whole(number: object) -> object:
    """Return a whole float as an int, because 1.0 is an integer in JSON Schema; return anything else unchanged."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


Whole = BeforeValidator(_whole)
Length = Annotated[int, Field(ge=0, lt=2**53), Whole]
TargetName = Annotated[str, StringConstraints(max_length=64)]

# The patterns only document the values: `check_path` and `check_object_name` refuse a wrong value and say why.
_PARTS = r"^[^/\x00-\x1f\x7f]+(/[^/\x00-\x1f\x7f]+)*$"
FilePath = Annotated[str, Field(json_schema_extra={"pattern": r"^/[^\x00-\x1f\x7f]*$", "maxLength": 4096})]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=255), Field(json_schema_extra={"pattern": _PARTS})]
ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=1024), Field(json_schema_extra={"pattern": _PARTS})
]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class DeliverTo(Body):
    target: TargetName
    object_name: ObjectName | None = None
    if_exists: IfExists = Field(default=IfExists.FAIL, strict=False)


class PrepareBody(Body):
    file_path: FilePath
    name: FileName | None = None
    deliver_to: DeliverTo | None = None
    if_changed: IfChanged = Field(
        default=IfChanged.FAIL,
        strict=False,
        description="If the source changes before all of it is stored: `fail`, or `restart` to store it from the start",
    )


class FinalizeBody(DeliverTo):
    length: Length | None = None


class FailureView(BaseModel):
    code: str
    detail: str

    @classmethod
    def of(cls, failure: Failure | GridhaulError | None) -> Self | None:
        return cls(code=failure.code, detail=failure.detail) if failure else None


Waiting = Annotated[
    FailureView | None,
    Field(description="Why the record waits now; null: it does not wait, or nobody knows why it waits"),
]


class FileView(BaseModel):
    file_id: str
    name: str
    content_type: str
    length: int
    chunk_size: int
    chunk_count: int
    state: FileState
    layout: Layout | None
    stored_bytes: int
    checked_bytes: int = Field(
        description="Bytes of the source that were read once more, because the source was touched while it was read"
    )
    if_changed: IfChanged
    rate: float | None
    digests: dict[str, str]
    attempts: int
    error: FailureView | None
    waiting: Waiting
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, file: File, obstacles: Obstacles) -> Self:
        path = f"/files/{file.id}"
        return cls(
            file_id=file.id,
            name=file.name,
            content_type=file.content_type,
            length=file.length,
            chunk_size=CHUNK_BYTES,
            chunk_count=file.chunk_count,
            state=file.state,
            layout=file.layout,
            stored_bytes=file.stored_bytes,
            checked_bytes=file.checked_bytes,
            if_changed=file.if_changed,
            rate=file.rate,
            digests={"sha-256": file.sha256} if file.sha256 else {},
            attempts=file.attempts,
            error=FailureView.of(file.error),
            waiting=FailureView.of(obstacles.of_file(file)),
            created_at=file.created_at,
            updated_at=file.updated_at,
            links={
                "self": path,
                "content": f"{path}/content",
                "deliveries": f"{path}/deliveries",
                "finalize": f"/upload/{file.id}/finalize",
            },
        )


class FilesView(BaseModel):
    files: list[FileView]
    next_cursor: str | None = Field(description="Pass this as `cursor` to get older files; null: no more follow")


class ReceiptView(BaseModel):
    length: int
    sha256: str = Field(serialization_alias="sha-256")
    manifest_root: str
    target: str
    object_name: str
    location: str
    evidence: Evidence
    atomic_commit: bool
    attempts: int
    created_at: datetime
    delivered_at: datetime

    @classmethod
    def of(cls, receipt: Receipt, delivery: Delivery) -> Self:
        return cls(
            length=receipt.length,
            sha256=receipt.sha256,
            manifest_root=receipt.manifest_root,
            target=receipt.target,
            object_name=receipt.object_name,
            location=receipt.location,
            evidence=receipt.evidence,
            atomic_commit=receipt.atomic_commit,
            attempts=receipt.attempts,
            created_at=delivery.created_at,
            delivered_at=delivery.ended_at or delivery.updated_at,
        )


class DeliveryView(BaseModel):
    delivery_id: str
    file_id: str
    target: str
    object_name: str
    if_exists: IfExists
    state: DeliveryState
    length: int
    sent_bytes: int
    rate: float | None
    attempts: int
    error: FailureView | None
    leftovers: list[str] = Field(
        description="Names at the target that may hold bytes of the delivery and will be removed after its end. A name "
        "that ends with `~` stands for all names that begin with it"
    )
    cleaning_error: FailureView | None = Field(
        description="Why something of the delivery remains at the target after its end. The removal of `leftovers` is "
        "tried again until they are gone; without leftovers it was given up, and somebody must look at the object"
    )
    waiting: Waiting
    receipt: ReceiptView | None
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, delivery: Delivery, obstacles: Obstacles) -> Self:
        return cls(
            delivery_id=delivery.id,
            file_id=delivery.file_id,
            target=delivery.target,
            object_name=delivery.object_name,
            if_exists=delivery.if_exists,
            state=delivery.state,
            length=delivery.length,
            sent_bytes=delivery.sent_bytes,
            rate=delivery.rate,
            attempts=delivery.attempts,
            error=FailureView.of(delivery.error),
            leftovers=list(delivery.leftovers),
            cleaning_error=FailureView.of(delivery.cleaning_error),
            waiting=FailureView.of(obstacles.of_delivery(delivery)),
            receipt=ReceiptView.of(delivery.receipt, delivery) if delivery.receipt else None,
            created_at=delivery.created_at,
            updated_at=delivery.updated_at,
            links={"self": f"/deliveries/{delivery.id}", "file": f"/files/{delivery.file_id}"},
        )


class DeliveriesView(BaseModel):
    deliveries: list[DeliveryView]


class DeliveryPageView(DeliveriesView):
    next_cursor: str | None = Field(description="Pass this as `cursor` to get older deliveries; null: no more follow")

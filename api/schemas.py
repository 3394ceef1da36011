"""Request and response bodies of the api. Lengths are bytes, digests lower-case hex, times RFC 3339 in UTC."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter, WrapValidator

from api.obstacles import HINTED, Obstacles
from gridhaul.transfer.attributes import octal
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.model import (
    CheckedWhen,
    Delivery,
    Destination,
    Evidence,
    Failure,
    File,
    FormerReceipt,
    IfExists,
    Receipt,
)
from gridhaul.transfer.origins import Door, IfChanged
from gridhaul.transfer.states import OVER, DeliveryState, FileState, Layout

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


def by_kind(one: Any, several: Any) -> WrapValidator:
    """Validate a value of the type `one`, or a list of the type `several`, by its kind alone.

    An error of a union would name members that no client knows.
    """
    one_alone: TypeAdapter[Any] = TypeAdapter(one)
    one_of_several: TypeAdapter[Any] = TypeAdapter(several)

    def validate(value: object, _: object) -> object:
        return (one_of_several if isinstance(value, list) else one_alone).validate_python(value)

    return WrapValidator(validate)


Several = Annotated[list[DeliverTo], Field(min_length=1, max_length=16)]
OneOrSeveral = Annotated[DeliverTo | Several, by_kind(DeliverTo, Several)]


class PrepareBody(Body):
    file_path: FilePath
    name: FileName | None = None
    deliver_to: OneOrSeveral | None = Field(
        default=None, description="One destination, or a list of up to 16 that differ in target or object name"
    )
    if_changed: IfChanged = Field(
        default=IfChanged.FAIL,
        strict=False,
        description="If the source changes before all of it is stored: `fail`, or `restart` to store it from the start",
    )

    @property
    def destinations(self) -> list[DeliverTo]:
        return destinations_of(self.deliver_to)


def destinations_of(deliver_to: DeliverTo | list[DeliverTo] | None) -> list[DeliverTo]:
    """Return the destinations that `deliver_to` of a request names."""
    if deliver_to is None:
        return []
    return deliver_to if isinstance(deliver_to, list) else [deliver_to]


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
WaitingSince = Annotated[
    datetime | None,
    Field(description="Since when attempts end because something outside does not allow them; null: they do not"),
]
NextAttemptAt = Annotated[
    datetime | None, Field(description="When the next attempt may begin after one that failed; null: none is planned")
]
# A record in one of these states has an error only between two attempts. An upload stays STORING between them.
BETWEEN_ATTEMPTS = HINTED | {FileState.STORING}
READING_BACK = frozenset({DeliveryState.STREAMING, DeliveryState.COMMITTING})  # elsewhere `checked_bytes` is old


def _waiting_since(record: File | Delivery) -> datetime | None:
    """Return since when the record waits; None also if only the cleaning after its end waits."""
    return record.wait.since if record.wait and record.state not in OVER else None


def _next_attempt(record: File | Delivery) -> datetime | None:
    between_attempts = record.state in BETWEEN_ATTEMPTS and record.error is not None
    return record.next_attempt_at if between_attempts else None


def _passing_error(record: File | Delivery) -> Failure | None:
    """Return the error for which the record waits until its next attempt; None if no next attempt is planned."""
    return record.error if _next_attempt(record) else None


class DeliverToView(BaseModel):
    target: str
    object_name: str
    if_exists: IfExists

    @classmethod
    def of(cls, destination: Destination) -> Self:
        object_name, if_exists = destination.object_name, destination.if_exists
        return cls(target=destination.target, object_name=object_name, if_exists=if_exists)


def _deliver_to(destinations: Sequence[Destination]) -> DeliverToView | list[DeliverToView] | None:
    shown = [DeliverToView.of(destination) for destination in destinations]
    return shown if len(shown) > 1 else shown[0] if shown else None


class UploadView(BaseModel):
    """How a client sends the bytes of a file that is RECEIVING."""

    door: Door
    offset: int = Field(description="Bytes that are durable; a client goes on from there")
    expires_at: datetime = Field(description="When the upload expires unless a request continues it")
    address: str = Field(description="The path of the upload, for requests of its owner")

    @classmethod
    def of(cls, file: File) -> Self | None:
        upload = file.upload
        if upload is None or file.state is not FileState.RECEIVING:
            return None
        path = f"/uploads/{file.id}{upload.token}"
        return cls(door=upload.door, offset=file.stored_bytes, expires_at=upload.expires_at, address=path)


class FileView(BaseModel):
    file_id: str
    owner: str = Field(description="The account that the file belongs to")
    batch_id: str | None = Field(description="The batch that the file is a member of; null: it is none")
    name: str
    file_path: str | None = Field(description="The path of the source, as prepare named it; null: it was uploaded")
    mtime: datetime | None = Field(
        description="The source's mtime when it was registered; null: the file was uploaded, or its mtime is before "
        "the year 1 or after the year 9999"
    )
    deliver_to: DeliverToView | list[DeliverToView] | None = Field(
        description="Where workers deliver the file once it is stored, as prepare named it: an object for one "
        "destination, a list for several; null: nowhere"
    )
    content_type: str
    length: int | None = Field(description="Bytes; null: the client of the upload has not named the length yet")
    chunk_size: int
    chunk_count: int | None = Field(description="null: the length is not known yet")
    upload: UploadView | None = Field(description="Of a file that is RECEIVING; null: it is not")
    state: FileState
    layout: Layout | None
    stored_bytes: int
    checked_bytes: int = Field(
        description="Bytes of the source that were read once more, because the source was touched while it was read"
    )
    if_changed: IfChanged | None = Field(description="As prepare named it; null: the file was uploaded")
    rate: float | None
    digests: dict[str, str]
    attempts: int
    error: FailureView | None
    waiting: Waiting
    waiting_since: WaitingSince
    next_attempt_at: NextAttemptAt
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, file: File, obstacles: Obstacles) -> Self:
        path = f"/files/{file.id}"
        deferred = file.upload is not None and file.upload.length_deferred
        return cls(
            file_id=file.id,
            owner=file.owner,
            batch_id=file.batch_id,
            name=file.name,
            file_path=file.origin.shown_path,
            mtime=file.origin.modified_at,
            deliver_to=_deliver_to(file.deliver_to),
            content_type=file.content_type,
            length=None if deferred else file.length,
            chunk_size=CHUNK_BYTES,
            chunk_count=None if deferred else file.chunk_count,
            upload=UploadView.of(file),
            state=file.state,
            layout=file.layout,
            stored_bytes=file.stored_bytes,
            checked_bytes=file.checked_bytes,
            if_changed=file.origin.if_changed,
            rate=file.rate,
            digests={"sha-256": file.sha256} if file.sha256 else {},
            attempts=file.attempts,
            error=FailureView.of(file.error),
            waiting=FailureView.of(obstacles.of_file(file) or _passing_error(file)),
            waiting_since=_waiting_since(file),
            next_attempt_at=_next_attempt(file),
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


class AbilitiesView(BaseModel):
    """The promises that a worker saw the target keep, with small objects of its own."""

    atomic: bool = Field(description="No reader sees a part of an object under its final name")
    exclusive: bool = Field(description="An object that takes the name in the last moment is not replaced")
    durable: bool = Field(description="What the target has acknowledged is on its disk")
    resumable: bool = Field(description="A later attempt goes on with what an earlier one has written")
    digest: str | None = Field(description="The digest in which the target was seen to refuse a lie; null: none")
    free_space: bool = Field(description="The target tells how much it can still take")


class ReceiptView(BaseModel):
    length: int
    sha256: str = Field(serialization_alias="sha-256")
    manifest_root: str
    target: str
    object_name: str
    location: str
    evidence: Evidence
    atomic_commit: bool
    abilities: AbilitiesView | None = Field(
        description="What the target was seen to do; null: the receipt is older than this member"
    )
    checked: CheckedWhen | None = Field(
        description="When the object's bytes were checked; null: the receipt is older than this member"
    )
    attempts: int
    sent_in_attempts: list[int] = Field(
        description="Bytes that left in each attempt that sent any; more than `length` together if some left again"
    )
    mtime: datetime | None = Field(
        description="The source's mtime; null: not known, or it is before the year 1 or after the year 9999"
    )
    mode: str | None = Field(
        description="The source's mode in octal when it was registered, such as `0640`; null: not known"
    )
    mtime_kept: bool = Field(
        description="Whether the object at the target has this `mtime`, as exactly as its file system keeps times"
    )
    mode_kept: bool = Field(description="Whether the object at the target has this `mode`")
    created_at: datetime
    delivered_at: datetime

    @classmethod
    def of(cls, receipt: Receipt, *, created_at: datetime, delivered_at: datetime) -> Self:
        return cls(
            length=receipt.length,
            sha256=receipt.sha256,
            manifest_root=receipt.manifest_root,
            target=receipt.target,
            object_name=receipt.object_name,
            location=receipt.location,
            evidence=receipt.evidence,
            atomic_commit=receipt.atomic_commit,
            abilities=AbilitiesView(**asdict(receipt.abilities)) if receipt.abilities else None,
            checked=receipt.checked,
            attempts=receipt.attempts,
            sent_in_attempts=list(receipt.sent_in_attempts),
            mtime=receipt.modified_at,
            mode=None if receipt.mode is None else octal(receipt.mode),
            mtime_kept=receipt.mtime_kept,
            mode_kept=receipt.mode_kept,
            created_at=created_at,
            delivered_at=delivered_at,
        )


class FormerReceiptView(ReceiptView):
    object_error: FailureView = Field(description="How a check found the object lost")

    @classmethod
    def of_former(cls, former: FormerReceipt, *, created_at: datetime) -> Self:
        shown = ReceiptView.of(former.receipt, created_at=created_at, delivered_at=former.ended_at)
        why = former.object_error
        return cls(**dict(shown), object_error=FailureView(code=why.code, detail=why.detail))


class DeliveryView(BaseModel):
    delivery_id: str
    file_id: str
    owner: str = Field(description="The account that the delivery belongs to")
    batch_id: str | None = Field(description="The batch that the delivery is a member of; null: it is none")
    source_path: str | None = Field(
        description="The path of the file's source; null: the delivery is older than this member"
    )
    target: str
    object_name: str
    if_exists: IfExists
    state: DeliveryState
    length: int
    sent_bytes: int
    checked_bytes: int = Field(
        description="Bytes of the object at the target that were read back so far, to check them; 0 while none are read"
    )
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
    waiting_since: WaitingSince
    next_attempt_at: NextAttemptAt
    receipt: ReceiptView | None
    object_error: FailureView | None = Field(
        description="How a check found the delivered object lost: `object_missing` or `object_differs`; a retry, or "
        "finalize again, then queues the delivery again. null: no check found it lost"
    )
    former_receipts: list[FormerReceiptView] = Field(
        description="Receipts whose object was found lost before the delivery was queued again, oldest first; the last "
        "20 are kept"
    )
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, delivery: Delivery, obstacles: Obstacles) -> Self:
        return cls(
            delivery_id=delivery.id,
            file_id=delivery.file_id,
            owner=delivery.owner,
            batch_id=delivery.batch_id,
            source_path=delivery.source_path,
            target=delivery.target,
            object_name=delivery.object_name,
            if_exists=delivery.if_exists,
            state=delivery.state,
            length=delivery.length,
            sent_bytes=delivery.sent_bytes,
            checked_bytes=delivery.checked_bytes if delivery.state in READING_BACK else 0,
            rate=delivery.rate,
            attempts=delivery.attempts,
            error=FailureView.of(delivery.error),
            leftovers=list(delivery.leftovers),
            cleaning_error=FailureView.of(delivery.cleaning_error),
            waiting=FailureView.of(obstacles.of_delivery(delivery) or _passing_error(delivery)),
            waiting_since=_waiting_since(delivery),
            next_attempt_at=_next_attempt(delivery),
            receipt=_receipt_of(delivery),
            object_error=FailureView.of(delivery.object_error),
            former_receipts=[
                FormerReceiptView.of_former(former, created_at=delivery.created_at)
                for former in delivery.former_receipts
            ],
            created_at=delivery.created_at,
            updated_at=delivery.updated_at,
            links={"self": f"/deliveries/{delivery.id}", "file": f"/files/{delivery.file_id}"},
        )


def _receipt_of(delivery: Delivery) -> ReceiptView | None:
    if delivery.receipt is None:
        return None
    delivered_at = delivery.ended_at or delivery.updated_at
    return ReceiptView.of(delivery.receipt, created_at=delivery.created_at, delivered_at=delivered_at)


class DeliveriesView(BaseModel):
    deliveries: list[DeliveryView]


class DeliveryPageView(DeliveriesView):
    next_cursor: str | None = Field(description="Pass this as `cursor` to get older deliveries; null: no more follow")

"""Files, deliveries, checks, accounts and keys as the api shows them, and the orders that the client sends."""

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from gridhaul.transfer.checks import CheckKind, Mode

CHECK_OVER = frozenset({"DONE", "FAILED", "CANCELLED"})


class FailureRecord(TypedDict):
    code: str
    detail: str


class DestinationRecord(TypedDict):
    target: str
    object_name: str
    if_exists: str


class EventRecord(TypedDict):
    time: str
    state: str
    code: str | None
    attempt: int
    who: str | None
    revision: int


class UploadRecord(TypedDict):
    """How far the client of an upload has come. Bytes before `offset` are durable."""

    door: str
    offset: int
    expires_at: str
    address: str


class FileRecord(TypedDict):
    """A file as the api shows it; see `GET /files/{file_id}`."""

    file_id: str
    batch_id: str | None
    name: str
    file_path: str | None  # None: the file was uploaded
    mtime: str | None
    deliver_to: DestinationRecord | list[DestinationRecord] | None
    content_type: str
    length: int | None  # None: the client of the upload has not named the length yet
    chunk_size: int
    chunk_count: int | None
    upload: UploadRecord | None  # of a file that is RECEIVING
    state: str
    layout: str | None
    stored_bytes: int
    checked_bytes: int
    if_changed: str | None
    rate: float | None
    digests: dict[str, str]
    attempts: int
    error: FailureRecord | None
    waiting: FailureRecord | None
    waiting_since: str | None
    next_attempt_at: str | None
    created_at: str
    updated_at: str
    links: dict[str, str]
    history: NotRequired[list[EventRecord]]  # only in `GET /files/{file_id}`


def known_length(file: FileRecord) -> int:
    """Return the length of a file in bytes; of an upload that has not named it yet, the bytes that have arrived."""
    return file["stored_bytes"] if file["length"] is None else file["length"]


def destinations(file: FileRecord) -> list[DestinationRecord]:
    """Return where the file is delivered once it is stored."""
    wanted = file["deliver_to"] or []
    return wanted if isinstance(wanted, list) else [wanted]


class AbilitiesRecord(TypedDict):
    atomic: bool
    exclusive: bool
    durable: bool
    resumable: bool
    digest: str | None
    free_space: bool


ReceiptRecord = TypedDict(
    "ReceiptRecord",
    {
        "length": int,
        "sha-256": str,
        "manifest_root": str,
        "target": str,
        "object_name": str,
        "location": str,
        "evidence": str,
        "atomic_commit": bool,
        "abilities": AbilitiesRecord | None,
        "checked": str | None,
        "attempts": int,
        "sent_in_attempts": list[int],
        "mtime": str | None,
        "mode": str | None,
        "mtime_kept": bool,
        "mode_kept": bool,
        "created_at": str,
        "delivered_at": str,
    },
)


class FormerReceiptRecord(ReceiptRecord):
    """A receipt whose object was found lost, and how."""

    object_error: FailureRecord


class DeliveryRecord(TypedDict):
    """A delivery as the api shows it; see `GET /deliveries/{delivery_id}`."""

    delivery_id: str
    file_id: str
    batch_id: str | None
    source_path: str | None
    target: str
    object_name: str
    if_exists: str
    state: str
    length: int
    sent_bytes: int
    checked_bytes: int
    rate: float | None
    attempts: int
    error: FailureRecord | None
    leftovers: list[str]
    cleaning_error: FailureRecord | None
    waiting: FailureRecord | None
    waiting_since: str | None
    next_attempt_at: str | None
    receipt: ReceiptRecord | None
    object_error: FailureRecord | None
    former_receipts: list[FormerReceiptRecord]
    created_at: str
    updated_at: str
    links: dict[str, str]
    history: NotRequired[list[EventRecord]]  # only in `GET /deliveries/{delivery_id}`


class FindingRecord(TypedDict):
    code: str
    detail: str
    content_id: str | None
    file_id: str | None
    delivery_id: str | None
    n: int | None
    target: str | None
    name: str | None
    upload_id: str | None
    outcome: str
    why_not: str | None


class CheckRecord(TypedDict):
    """A check as the api shows it; see `GET /checks/{check_id}`."""

    check_id: str
    kind: str
    mode: str
    file_id: str | None
    state: str
    stage: str | None
    checked_bytes: int
    total_bytes: int | None
    checked_contents: int
    total_contents: int | None
    checked_objects: int
    unread_objects: int
    skipped_objects: dict[str, int]
    target_bytes: int
    rate: float | None
    found: int
    repaired: int
    counts: dict[str, int]
    findings: list[FindingRecord]
    source_bytes: int
    sent_bytes: int
    error: FailureRecord | None
    waiting: FailureRecord | None
    created_at: str
    updated_at: str
    links: dict[str, str]


class TargetRecord(TypedDict):
    """A configured target as the api shows it; see `GET /targets/{target_name}`."""

    name: str
    kind: str
    allow_overwrite_race: bool | None
    state: str
    abilities: AbilitiesRecord | None  # None: the target was not seen yet
    seen_at: str | None
    outdated: bool
    tried_at: str | None  # None: a probe is still to come
    error: FailureRecord | None
    next_probe_at: str | None
    waiting: FailureRecord | None
    links: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckOrder:
    """A check to start. `record_id` is the id of a file or of a delivery; None checks everything."""

    kind: CheckKind
    mode: Mode
    record_id: str | None = None
    read_targets: bool = False
    bytes_per_second: int | None = None


class AccountRecord(TypedDict):
    """An account as the api shows it; see `GET /accounts/{username}`."""

    username: str
    scopes: list[str]
    roots: list[str] | None
    targets: list[str] | None
    quota_bytes: int | None
    used_bytes: int
    max_open_files: int | None
    has_password: bool
    disabled: bool
    created_at: str
    updated_at: str


class AccountChanges(TypedDict, total=False):
    """The fields of an account to set. None means every root, every target, the server's limit, or no password.

    With `revoke_keys`, the change of `password` also revokes all keys. A new account has no such field.
    """

    scopes: list[str]
    password: str | None
    revoke_keys: bool
    roots: list[str] | None
    targets: list[str] | None
    quota_bytes: int | None
    max_open_files: int | None
    disabled: bool


class KeyRecord(TypedDict):
    """An API key as the api shows it; see `GET /keys`."""

    key_id: str
    account: str
    name: str
    scopes: list[str]
    created_at: str
    expires_at: str | None


class NewKeyRecord(KeyRecord):
    """A new API key. Only this answer holds the key itself."""

    key: str


class LoginRecord(TypedDict):
    """A login (RFC 6749, section 5.1)."""

    access_token: str
    expires_in: int
    refresh_token: str
    scope: str

"""The examples in the api's OpenAPI document: one file of `make up ROOTS=/srv/exports`, on its way to `delivered`."""

import base64
import json
from typing import Any

from gridhaul.transfer.errors import (
    ChecksumMismatch,
    ContentDiffers,
    DatabaseUnavailable,
    Forbidden,
    HeadersTooLarge,
    InvalidValue,
    LengthRequired,
    Malformed,
    NotFound,
    PayloadTooLarge,
    QuotaExceeded,
    RangeNotSatisfiable,
    RequestTimeout,
    StateConflict,
    TooManyRequests,
    Unauthorized,
    UnsupportedMediaType,
    UploadGone,
    UriTooLong,
)

FILE_ID = "69285d1f3c6e0b7a94d2f815"
DELIVERY_ID = "5f0a9c47be31d86072f4e19b"
CHECK_ID = "69285e8d3c6e0b7a94d2f8a4"
LIST_ID = "69285d2e3c6e0b7a94d2f827"
BATCH_ID = "69285d3a3c6e0b7a94d2f83c"
KEY_ID = "65f0c2a4e1b7d3908c6a5e42"
UPLOAD_ID = f"{FILE_ID}c07f4e91ab2d6835f1e0947db6a2583c"
PATH = "/srv/exports/run42.h5"
NAME = "run42.h5"
TARGET = "delivered"
LENGTH = 64 << 20
SHA256 = "3b6a07d0d404fab4e23b6d34bc6696a6a312dd92821332385e5af7c01c421351"  # of 64 MiB of zeros, as is the next one
MANIFEST_ROOT = "24c09f92b70225aebc411a0decd827032d7ac93e1d4258ad2f9664e50090abb2"
SHA256SUMS = "9f2b4c1e7a0d3856c4e19b7f20a8d65318e7c0b94f6a2d71e35b8094c6fa1d27"
WRITTEN = "2025-11-26T23:58:07.250000Z"
BEGUN = "2025-11-27T14:16:31.402000Z"
ENDED = "2025-11-27T14:16:33.917000Z"
PASSWORD = "correct horse battery staple"  # noqa: S105 - an example
API_KEY = f"ghk_{KEY_ID}_{'a-key-is-shown-only-once':x<43}"
REFRESH_TOKEN = f"ghr_{KEY_ID}_{'a-refresh-token-is-used-once':x<43}"
SCOPES = ["prepare", "finalize", "read"]

PARAMETERS: dict[str, object] = {
    "file_id": FILE_ID,
    "delivery_id": DELIVERY_ID,
    "check_id": CHECK_ID,
    "batch_id": BATCH_ID,
    "list_id": LIST_ID,
    "format": "paths",
    "key_id": KEY_ID,
    "username": "alice",
    "upload_id": UPLOAD_ID,
    "name": NAME,
    "target_name": TARGET,
    "root_name": "exports",
    "first": 0,
    "Lease-Fence": 1,
    "repr-digest": f"sha-256=:{base64.b64encode(bytes.fromhex(SHA256)).decode()}:",
}

COUNTS: dict[str, Any] = {
    "owner": "alice",
    "files": {"STORING": {"count": 1, "bytes": LENGTH}, "STORED": {"count": 41, "bytes": 41 * LENGTH}},
    "deliveries": {"DELIVERED": {"count": 41, "bytes": 41 * LENGTH}},
    "counted_at": ENDED,
}

TYPE_COUNTS: dict[str, Any] = {
    "owner": "alice",
    "types": [
        {"content_type": "application/x-hdf5", "count": 40, "bytes": 40 * LENGTH},
        {"content_type": "text/plain", "count": 2, "bytes": 2 * LENGTH},
    ],
    "others": {"count": 0, "bytes": 0},
    "counted_at": ENDED,
}

BODIES: dict[str, dict[str, Any]] = {
    "PrepareBody": {"file_path": PATH, "deliver_to": {"target": TARGET}},
    "FinalizeBody": {"target": TARGET, "object_name": NAME, "if_exists": "fail"},
    "BatchBody": {
        "paths": ["/srv/exports/run42", "/srv/exports/notes/*.txt"],
        "exclude": ["*.tmp"],
        "deliver_to": [{"target": TARGET, "prefix": "2025/november"}],
    },
    "UploadBody": {"name": NAME, "length": LENGTH, "sha-256": SHA256, "deliver_to": {"target": TARGET}},
    "CompleteBody": {"sha-256": SHA256},
    "CheckBody": {"kind": "fsck", "mode": "report"},
    "AccountBody": {
        "username": "alice",
        "scopes": SCOPES,
        "roots": ["/srv/exports/alice"],
        "targets": [TARGET],
        "quota_bytes": 2 << 40,
    },
    "AccountChanges": {"targets": [TARGET], "max_open_files": 100},
    "PasswordBody": {"current_password": PASSWORD, "new_password": "a stapled battery horse"},
    "KeyBody": {"name": "nightly", "scopes": SCOPES, "expires_in_days": 365},
    "TokenForm": {"username": "alice", "password": PASSWORD},
    "SessionForm": {"username": "alice", "password": PASSWORD},
    "Body_revoke_auth_revoke_post": {"token": REFRESH_TOKEN},
}

FILE: dict[str, Any] = {
    "file_id": FILE_ID,
    "owner": "alice",
    "batch_id": None,
    "name": NAME,
    "file_path": PATH,
    "mtime": WRITTEN,
    "deliver_to": {"target": TARGET, "object_name": NAME, "if_exists": "fail"},
    "content_type": "application/x-hdf5",
    "length": LENGTH,
    "chunk_size": 1 << 20,
    "chunk_count": 64,
    "upload": None,
    "state": "STORED",
    "layout": "gridfs",
    "stored_bytes": LENGTH,
    "checked_bytes": 0,
    "if_changed": "fail",
    "rate": 412_876_341.0,
    "digests": {"sha-256": SHA256},
    "attempts": 1,
    "error": None,
    "waiting": None,
    "waiting_since": None,
    "next_attempt_at": None,
    "created_at": BEGUN,
    "updated_at": ENDED,
    "links": {
        "self": f"/files/{FILE_ID}",
        "content": f"/files/{FILE_ID}/content",
        "deliveries": f"/files/{FILE_ID}/deliveries",
        "finalize": f"/upload/{FILE_ID}/finalize",
    },
}
RECEIVING: dict[str, Any] = {
    **FILE,
    "file_path": None,
    "mtime": None,
    "upload": {
        "door": "chunks",
        "offset": 0,
        "expires_at": "2025-12-04T14:16:31.402000Z",
        "address": f"/uploads/{UPLOAD_ID}",
    },
    "state": "RECEIVING",
    "layout": None,
    "stored_bytes": 0,
    "if_changed": None,
    "rate": None,
    "digests": {},
    "attempts": 0,
    "updated_at": BEGUN,
}
UPLOAD: dict[str, Any] = {"upload_id": UPLOAD_ID, "url": f"http://127.0.0.1:8000/uploads/{UPLOAD_ID}"}
CHUNKED: dict[str, Any] = {
    **UPLOAD,
    "file_id": FILE_ID,
    "filename": NAME,
    "offset": 16 << 20,
    "length": LENGTH,
    "expires": "2025-12-04T14:16:31.402000Z",
    "state": "RECEIVING",
}
HOLD: dict[str, Any] = {
    "file_id": FILE_ID,
    "fence": 1,
    "length": LENGTH,
    "chunk_size": 1 << 20,
    "segment_chunks": 16,
}


def history(who: str | None, first: str, *others: str) -> list[dict[str, Any]]:
    """Return the history of a record that `who` asked for, and that one attempt brought through the other states."""
    began = {"time": BEGUN, "state": first, "code": None, "attempt": 0, "who": who, "revision": 1}
    later = {**began, "time": ENDED, "attempt": 1, "who": None}
    return [began, *({**later, "state": state, "revision": n} for n, state in enumerate(others, start=2))]


RECEIPT: dict[str, Any] = {
    "length": LENGTH,
    "sha-256": SHA256,
    "manifest_root": MANIFEST_ROOT,
    "target": TARGET,
    "object_name": NAME,
    "location": "/srv/gridhaul/var/up/delivered/run42.h5",
    "evidence": "read-back",
    "atomic_commit": True,
    "abilities": {
        "atomic": True,
        "exclusive": True,
        "durable": True,
        "resumable": True,
        "digest": None,
        "free_space": True,
    },
    "checked": "before-commit",
    "attempts": 1,
    "sent_in_attempts": [LENGTH],
    "mtime": WRITTEN,
    "mode": "0640",
    "mtime_kept": True,
    "mode_kept": False,
    "created_at": BEGUN,
    "delivered_at": ENDED,
}
DELIVERY: dict[str, Any] = {
    "delivery_id": DELIVERY_ID,
    "file_id": FILE_ID,
    "owner": "alice",
    "batch_id": None,
    "source_path": PATH,
    "target": TARGET,
    "object_name": NAME,
    "if_exists": "fail",
    "state": "DELIVERED",
    "length": LENGTH,
    "sent_bytes": LENGTH,
    "checked_bytes": 0,
    "rate": 388_104_502.0,
    "attempts": 1,
    "error": None,
    "leftovers": [],
    "cleaning_error": None,
    "waiting": None,
    "waiting_since": None,
    "next_attempt_at": None,
    "receipt": RECEIPT,
    "object_error": None,
    "former_receipts": [],
    "created_at": BEGUN,
    "updated_at": ENDED,
    "links": {"self": f"/deliveries/{DELIVERY_ID}", "file": f"/files/{FILE_ID}"},
}
EVENT = f"event: delivery\nid: 1764252993917-{DELIVERY_ID}\ndata: {json.dumps(DELIVERY)}\n\n"
PROGRESS_EVENT = f"event: progress\ndata: {json.dumps({'kind': 'file', **FILE})}\n\n"
BATCH: dict[str, Any] = {
    "batch_id": BATCH_ID,
    "owner": "alice",
    "paths": ["/srv/exports/run42", "/srv/exports/notes/*.txt"],
    "list_id": None,
    "base": None,
    "choice": {"include": [], "exclude": ["*.tmp"], "hidden": True, "links": "skip", "empty_folders": False},
    "deliver_to": [{"target": TARGET, "prefix": "2025/november", "if_exists": "fail"}],
    "if_changed": "fail",
    "state": "DONE",
    "registered": True,
    "update": False,
    "unchanged": 0,
    "excluded": 3,
    "plan": None,
    "counts": {
        "files": {"STORED": {"count": 20, "bytes": 20 * LENGTH}},
        "deliveries": {"DELIVERED": {"count": 19, "bytes": 19 * LENGTH}, "FAILED": {"count": 1, "bytes": LENGTH}},
        "failures": {"object_exists": 1},
        "skipped": {"link": 1},
        "counted_at": ENDED,
    },
    "summary": {"files": 20, "bytes": 20 * LENGTH, "sha256sums": SHA256SUMS},
    "error": None,
    "waiting": None,
    "created_at": BEGUN,
    "updated_at": ENDED,
    "ended_at": ENDED,
    "links": {
        "self": f"/batches/{BATCH_ID}",
        "files": f"/files?batch={BATCH_ID}",
        "deliveries": f"/deliveries?batch={BATCH_ID}",
        "skipped": f"/batches/{BATCH_ID}/skipped",
        "sha256sums": f"/batches/{BATCH_ID}/sha256sums",
    },
}
LIST: dict[str, Any] = {
    "list_id": LIST_ID,
    "owner": "alice",
    "format": "sha256sums",
    "length": 1640,
    "entries": 20,
    "relative": 20,
    "created_at": BEGUN,
    "expires_at": "2025-11-28T14:16:31.402000Z",
    "links": {"self": f"/lists/{LIST_ID}"},
}
SKIPPED = {"path": "/srv/exports/run42/latest", "reason": "link", "detail": "Links are not followed."}
CHECK: dict[str, Any] = {
    "check_id": CHECK_ID,
    "kind": "fsck",
    "mode": "report",
    "file_id": None,
    "state": "DONE",
    "stage": None,
    "checked_bytes": LENGTH,
    "total_bytes": LENGTH,
    "checked_contents": 1,
    "total_contents": 1,
    "checked_objects": 1,
    "unread_objects": 0,
    "skipped_objects": {},
    "target_bytes": 0,
    "rate": 1_204_556_800.0,
    "found": 0,
    "repaired": 0,
    "counts": {},
    "findings": [],
    "source_bytes": 0,
    "sent_bytes": 0,
    "error": None,
    "waiting": None,
    "created_at": BEGUN,
    "updated_at": ENDED,
    "links": {"self": f"/checks/{CHECK_ID}", "cancel": f"/checks/{CHECK_ID}/cancel"},
}
CHUNK_MAP: dict[str, Any] = {
    "file_id": FILE_ID,
    "state": "STORED",
    "layout": "gridfs",
    "chunk_count": 64,
    "chunks_per_cell": 8,
    "stored": [8, 8, 7, 8, 8, 8, 8, 8],
    "findings": [
        {"n": 21, "code": "chunk_missing", "detail": "No chunk is stored.", "outcome": "found", "why_not": None},
    ],
    "checked": {"check_id": CHECK_ID, "kind": "fsck", "mode": "report", "state": "DONE", "ended": ENDED},
}
TARGET_VIEW: dict[str, Any] = {
    "name": TARGET,
    "kind": "directory",
    "allow_overwrite_race": False,
    "state": "WAITING",
    "abilities": RECEIPT["abilities"],
    "seen_at": BEGUN,
    "outdated": False,
    "tried_at": BEGUN,
    "error": None,
    "next_probe_at": "2025-11-28T14:16:31.402000Z",
    "waiting": None,
    "links": {"self": f"/targets/{TARGET}", "probe": f"/targets/{TARGET}/probe"},
}
ROOTS: dict[str, Any] = {"roots": [{"name": "exports", "path": "/srv/exports"}]}
FOLDER: dict[str, Any] = {
    "path": "/srv/exports",
    "entries": [
        {
            "name": "run43",
            "path": "/srv/exports/run43",
            "kind": "folder",
            "length": None,
            "mtime": BEGUN,
            "refused": None,
        },
        {
            "name": "latest",
            "path": "/srv/exports/latest",
            "kind": "link",
            "length": None,
            "mtime": BEGUN,
            "refused": {"code": "link_broken", "detail": "The link leads to nothing."},
        },
        {"name": NAME, "path": PATH, "kind": "file", "length": LENGTH, "mtime": WRITTEN, "refused": None},
    ],
    "next_cursor": "AXJ1bjQyLmg1",
}
ACTIVITY: dict[str, Any] = {
    "target": TARGET,
    "owner": "alice",
    "waiting": 2,
    "running": 1,
    "paused": 0,
    "failed": 1,
    "delivered": 41,
    "last_delivered": {"delivery_id": DELIVERY_ID, "object_name": NAME, "at": ENDED},
    "last_error": {
        "delivery_id": "7d1e2f6a90bc43d85e07f1a2",
        "object_name": "run41.h5",
        "at": ENDED,
        "code": "object_exists",
        "detail": "The target holds other bytes under the name.",
    },
    "counted_at": ENDED,
}
WORKER: dict[str, Any] = {
    "worker": "9c41d7e05b2f4a688e13f0a7c6d95b24",
    "host": "worker-1",
    "queues": ["large", "maintenance", "small"],
    "processes": 4,
    "last_beat_at": ENDED,
    "living": True,
    "version": "0.1.0",
    "storing_error": None,
    "passed_over": 0,
}
STORE: dict[str, Any] = {
    "total_bytes": 8 << 40,
    "free_bytes": 5 << 40,
    "used_bytes": 3 << 40,
    "data_bytes": 2 << 40,
    "orphans": {
        "chunks": 0,
        "inline": 0,
        "manifests": 0,
        "bucket_files": 0,
        "unreferenced": 1,
        "check_id": CHECK_ID,
        "mode": "repair",
        "checked_at": ENDED,
    },
    "measured_at": ENDED,
}
ACCOUNT: dict[str, Any] = {
    "username": "alice",
    "scopes": SCOPES,
    "roots": ["/srv/exports/alice"],
    "targets": [TARGET],
    "quota_bytes": 2 << 40,
    "used_bytes": LENGTH,
    "max_open_files": 100,
    "has_password": True,
    "disabled": False,
    "created_at": BEGUN,
    "updated_at": ENDED,
}
KEY: dict[str, Any] = {
    "key_id": KEY_ID,
    "account": "alice",
    "name": "nightly",
    "scopes": SCOPES,
    "created_at": BEGUN,
    "expires_at": "2026-11-27T14:16:31.402000Z",
}
TOKEN: dict[str, Any] = {
    "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.…",
    "token_type": "Bearer",
    "expires_in": 900,
    "refresh_token": REFRESH_TOKEN,
    "scope": " ".join(SCOPES),
}

SESSION: dict[str, Any] = {
    "username": "alice",
    **{name: TOKEN[name] for name in ("access_token", "token_type", "expires_in", "scope")},
}
LINK: dict[str, Any] = {
    "href": f"/files/{FILE_ID}/content?link=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.…",
    "expires_at": "2025-11-27T20:16:33Z",
}

SCHEMAS = BODIES | {
    "FileView": FILE,
    "FileDetailView": {**FILE, "history": history("alice", "REGISTERED", "STORING", "STORED")},
    "HoldView": HOLD,
    "ChunkedUploadView": CHUNKED,
    "CompletedUploadView": {**FILE, "file_path": None, "mtime": None, "if_changed": None, **UPLOAD},
    "FilesView": {"files": [FILE], "next_cursor": None},
    "DeliveryView": DELIVERY,
    "DeliveryDetailView": {**DELIVERY, "history": history(None, "QUEUED", "STREAMING", "COMMITTING", "DELIVERED")},
    "DeliveriesView": {"deliveries": [DELIVERY]},
    "DeliveryPageView": {"deliveries": [DELIVERY], "next_cursor": None},
    "BatchView": BATCH,
    "BatchesView": {"batches": [BATCH], "next_cursor": None},
    "ListView": LIST,
    "ListsView": {"lists": [LIST], "next_cursor": None},
    "SkippedPageView": {"skipped": [SKIPPED], "next_cursor": None},
    "AccountCountsView": COUNTS,
    "TypeCountsView": TYPE_COUNTS,
    "ChunkMapView": CHUNK_MAP,
    "CheckView": CHECK,
    "ChecksView": {"checks": [CHECK], "next_cursor": None},
    "TargetView": TARGET_VIEW,
    "TargetsView": {"targets": [TARGET_VIEW]},
    "RootsView": ROOTS,
    "FolderView": FOLDER,
    "TargetActivityView": ACTIVITY,
    "WorkersView": {"workers": [WORKER]},
    "StoreView": STORE,
    "AccountView": ACCOUNT,
    "OwnAccountView": {**ACCOUNT, "granted_scopes": ["read"]},
    "AccountsView": {"accounts": [ACCOUNT], "next_cursor": None},
    "NewKeyView": {**KEY, "key": API_KEY},
    "KeysView": {"keys": [KEY]},
    "TokenView": TOKEN,
    "SessionView": SESSION,
    "LinkView": LINK,
}

PROBLEMS = {
    error.status: (error.code, error.detail)
    for error in (
        Malformed("The body is not JSON."),
        Unauthorized("An API key or an access token is needed."),
        Forbidden("The token does not have the scope prepare."),
        NotFound("There is no such file."),
        RequestTimeout("The request did not arrive in time."),
        StateConflict("The file is CANCELLED, and was not stored: storing has stopped; retry stores it again."),
        UploadGone("The upload expired, because nobody continued it in time; upload the file again."),
        LengthRequired("Content-Length is needed."),
        ContentDiffers("The stored bytes are not those that are expected."),
        RangeNotSatisfiable(length_bytes=1048577),
        PayloadTooLarge("The body has more than 1048576 bytes."),
        UriTooLong("Path and query have too many bytes."),
        UnsupportedMediaType("The body must be application/json."),
        InvalidValue("The request is not as the documentation says: body.file_path."),
        ChecksumMismatch("The bytes are not those of the checksum, and were discarded; send them again."),
        TooManyRequests("Too many requests; try again.", retry_after_seconds=1),
        HeadersTooLarge("The headers have too many bytes."),
        DatabaseUnavailable("The database does not answer."),
        QuotaExceeded("The account's quota does not allow so many bytes."),
    )
} | {500: ("internal", "The server failed unexpectedly; its log says more under the id in `instance`.")}

"""Answers of the scripted api about batches."""

from typing import Any

from tests.cli.scripted_api import MIB, Answer, ScriptedApi, delivery, file

BATCH_ID = "6740c0ffee0123456789bbbb"
SUMS = "ef" * 32
START = "POST /batches"
THE_BATCH = f"GET /batches/{BATCH_ID}"
SENT = f"GET /deliveries?batch={BATCH_ID}&state=COMMITTING&state=STREAMING&limit=10"
STORING = f"GET /files?batch={BATCH_ID}&state=STORING&limit=10"
QUEUED = f"GET /deliveries?batch={BATCH_ID}&state=QUEUED&limit=10"
REGISTERED = f"GET /files?batch={BATCH_ID}&state=REGISTERED&limit=10"
FAILED_FILES = f"GET /files?batch={BATCH_ID}&state=FAILED&limit=20"
FAILED_DELIVERIES = f"GET /deliveries?batch={BATCH_ID}&state=FAILED&limit=20"
SKIPPED = f"GET /batches/{BATCH_ID}/skipped?limit=20"


def batch(state: str, **changes: object) -> dict[str, Any]:
    done = state == "DONE"
    record = {
        "batch_id": BATCH_ID,
        "owner": "operator",
        "paths": ["/srv/run42"],
        "base": None,
        "choice": {"include": [], "exclude": [], "hidden": True, "links": "skip", "empty_folders": False},
        "deliver_to": [{"target": "archive", "prefix": None, "if_exists": "fail"}],
        "if_changed": "fail",
        "state": state,
        "registered": state != "REGISTERING",
        "update": False,
        "unchanged": 0,
        "excluded": 0,
        "plan": None,
        "counts": counts(STORED=4, DELIVERED=4) if done else None,
        "summary": {"files": 4, "bytes": 4 * MIB, "sha256sums": SUMS} if done else None,
        "error": None,
        "waiting": None,
        "created_at": "2026-11-21T03:00:00Z",
        "updated_at": "2026-11-21T03:00:01Z",
        "ended_at": "2026-11-21T03:00:08Z" if done else None,
        "links": {"self": f"/batches/{BATCH_ID}"},
    }
    return record | changes


FILE_STATES = ("REGISTERED", "STORING", "STORED", "FILE_FAILED", "FILE_CANCELLED", "FILE_PAUSED")


def counts(
    failures: dict[str, int] | None = None, skipped: dict[str, int] | None = None, **members: int
) -> dict[str, Any]:
    """Return counts of members of 1 MiB each. The names of `members` are states of files or of deliveries."""
    files = {name: n for name, n in members.items() if name in FILE_STATES}
    deliveries = {name: n for name, n in members.items() if name not in FILE_STATES}
    return {
        "files": {name.removeprefix("FILE_"): group(n) for name, n in files.items()},
        "deliveries": {name: group(n) for name, n in deliveries.items()},
        "failures": failures or {},
        "skipped": skipped or {},
        "counted_at": "2026-11-21T03:00:01Z",
    }


def group(number: int) -> dict[str, int]:
    return {"count": number, "bytes": number * MIB}


def page(kind: str, *records: dict[str, Any]) -> dict[str, Any]:
    return {kind: list(records), "next_cursor": None}


def play(api: ScriptedApi, *looks: dict[str, Any] | Answer) -> None:
    """Let the api take a batch, show it so at each look, and have two members on their way."""
    take(api, *looks)
    api.script(SENT, page("deliveries", delivery("STREAMING", object_name="run42/a.h5", sent_bytes=2 * MIB)))
    api.script(STORING, page("files", file("STORING", name="run42/b.h5", stored_bytes=MIB)))


def take(api: ScriptedApi, *looks: dict[str, Any] | Answer) -> None:
    """Let the api take a batch, and show it so at each look."""
    api.script(START, Answer(body=batch("REGISTERING"), status=202))
    api.script(THE_BATCH, *looks)


def fail(api: ScriptedApi, *deliveries: dict[str, Any]) -> None:
    api.script(FAILED_FILES, page("files"))
    api.script(FAILED_DELIVERIES, page("deliveries", *deliveries))

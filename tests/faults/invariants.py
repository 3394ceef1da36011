"""The invariants that hold after every fault. Wrong bytes and duplicates are collected, so that a run counts them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.delivered import temporaries_below
from tests.faults.batch_invariants import FINAL_BATCHES, broken_promises
from tests.faults.stand import NOT_WATCHED, Stand
from tests.faults.watcher import digest_of, final_names
from tests.journeys.operator import Json

SETTLED_SECONDS = 60.0
LOOK_SECONDS = 0.2
FINAL_FILES = ("STORED", "FAILED", "CANCELLED", "EXPIRED", "PAUSED", "DELETED")
FINAL_DELIVERIES = ("DELIVERED", "FAILED", "CANCELLED", "PAUSED")
FINAL_STATES = {"files": FINAL_FILES, "deliveries": FINAL_DELIVERIES, "batches": FINAL_BATCHES}
COMMITTED = range(200, 300)


@dataclass(kw_only=True)
class Findings:
    wrong: list[str] = field(default_factory=list)  # objects with wrong bytes
    duplicates: list[str] = field(default_factory=list)
    # Records at work, leases, objects and chunks that nobody owns, and what a batch says that is not true.
    left: list[str] = field(default_factory=list)

    @property
    def everything(self) -> list[str]:
        return [*self.wrong, *self.duplicates, *self.left]

    def require_none(self) -> None:
        assert not self.everything, "\n".join(["after the row:", *self.everything[:20]])


def check(stand: Stand, placed: Sequence[Path]) -> Findings:
    """Wait until the system is settled, then check all invariants. `placed` are objects that the row put at targets."""
    with stand.operator.database() as database:
        unsettled = _wait_until_none(lambda: list(_unsettled(stand, database)))
        deliveries = list(database["deliveries"].find({"state": "DELIVERED"}).sort("updated_at"))
        stored = [*_miscounted(database)]
        broken = [*broken_promises(database)]
    stand.watcher.look()
    stand.seaweed_bucket.copy()
    findings = Findings(left=unsettled + broken, duplicates=stored)
    _compare_objects(stand, deliveries, placed, findings)
    findings.wrong += stand.watcher.wrong
    findings.duplicates += _committed_twice(stand, placed)
    return findings


def _wait_until_none(look: Callable[[], list[str]]) -> list[str]:
    """Repeat `look` until it finds nothing, and return what it still finds at the deadline."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return found


def _unsettled(stand: Stand, database: Any) -> Iterator[str]:
    """Yield each record that is not at rest, and each leftover that maintenance has not removed yet."""
    for name, final in FINAL_STATES.items():
        yield from _at_work(database, name, final)
    hinted = {"$or": [{"hint_at": {"$exists": True}}, {"hinted_at": {"$exists": True}}]}
    yield from (f"a lane of batch {lane['batch_id']} does not rest" for lane in database["lanes"].find(hinted))
    let_sweep_time_pass(stand, database)
    yield from (f"contents {one['_id']} is being deleted" for one in database["contents"].find({"state": "DELETING"}))
    yield from _orphans(database)
    for name, directory in stand.remotes.items():
        yield from (f"{name} still has {path.name}" for path in temporaries_below(directory))
    yield from (f"seaweedfs still has an upload to {key}" for key in stand.seaweed_bucket.uploads())
    yield from (f"an exchange with {name} goes on" for name, proxy in stand.proxies.items() if proxy.busy)
    if stand.sftp.busy:
        yield "an exchange with sftp goes on"


def _at_work(database: Any, name: str, final: Sequence[str]) -> Iterator[str]:
    fields = ("lease_until", "hint_at", "hinted_at", "next_attempt_at", "claimed")
    restless = [{"state": {"$nin": list(final)}}, *({field: {"$exists": True}} for field in fields)]
    for record in database[name].find({"$or": restless}):
        kept = ", ".join(field for field in fields if field in record)
        yield f"{name} {record['_id']} is {record['state']} with {kept}, error {record.get('error')}"


def let_sweep_time_pass(stand: Stand, database: Any) -> None:
    """Make maintenance due, as if the longest time of a late request had passed. Do nothing while a request runs."""
    if any(proxy.busy for proxy in (*stand.proxies.values(), stand.sftp)):
        return
    due = {"next_attempt_at": {"$exists": True}, "lease_until": {"$exists": False}, "hinted_at": {"$exists": False}}
    now = [{"$set": {"next_attempt_at": "$$NOW", "hint_at": "$$NOW"}}]
    database["contents"].update_many({"state": "DELETING", **due}, now)
    database["deliveries"].update_many({"state": {"$in": list(FINAL_DELIVERIES)}, **due}, now)


def _orphans(database: Any) -> Iterator[str]:
    """Yield bytes that belong to no content, and contents that belong to no file."""
    contents = set(database["contents"].distinct("_id"))
    payload = {"fs.chunks": "files_id", "fs.files": "_id", "inline": "_id", "manifests": "_id.content", "tails": "_id"}
    for collection, key in payload.items():
        orphaned = set(database[collection].distinct(key)) - contents
        yield from (f"{collection} has bytes of {content}, which is no content" for content in orphaned)
    used = set(database["files"].distinct("content_id", {"state": {"$ne": "DELETED"}}))
    yield from (f"content {content} belongs to no file" for content in contents - used)


def _miscounted(database: Any) -> Iterator[str]:
    """Yield sealed contents with more or fewer stored chunks than their length needs."""
    inline = {one["_id"]: len(one["digests"]) // 32 for one in database["inline"].find({}, {"digests": 1})}
    for content in database["contents"].find({"state": "SEALED"}):
        needed = -(-content["length"] // (1 << 20))
        if content["layout"] == "inline":
            found = inline.get(content["_id"], 0)
        else:
            found = database["fs.chunks"].count_documents({"files_id": content["_id"]})
        if found != needed:
            yield f"content {content['_id']} has {found} chunks and needs {needed}"


def _compare_objects(stand: Stand, deliveries: list[Json], placed: Sequence[Path], findings: Findings) -> None:
    """Note objects whose bytes are not those of their delivery and of a source, and objects without a delivery."""
    expected = dict.fromkeys(placed) | {
        stand.remotes[one["target"]] / one["receipt"]["object_name"]: (one["length"], one["sha256"])
        for one in deliveries
    }
    for path, wanted in expected.items():
        found = digest_of(path) if path.is_file() else None
        if found not in stand.sources.digests or wanted not in (None, found):
            findings.wrong.append(f"{path} holds {found}, the delivery was of {wanted}")
    there = {Path(entry.path) for directory in stand.remotes.values() for entry in final_names(directory)}
    for path in there - set(expected):
        whole = digest_of(path) in stand.sources.digests
        (findings.duplicates if whole else findings.left).append(f"{path}: no delivery made this object")


def _committed_twice(stand: Stand, placed: Sequence[Path]) -> Iterator[str]:
    """Yield names to which two commits went. The requests at the proxies tell, and the objects that were seen."""
    for name, proxy in stand.proxies.items():
        moves = Counter(
            seen.headers["destination"]
            for seen in list(proxy.requests)
            if seen.method == "MOVE" and seen.status in COMMITTED
        )
        yield from (f"{name}: {count} MOVEs to {to}" for to, count in moves.items() if count > 1)
    for name, directory in stand.remotes.items():
        if name in NOT_WATCHED:
            continue
        for entry in final_names(directory):
            path = Path(entry.path)
            if path not in placed and stand.watcher.commits(path) > 1:
                yield f"{path}: {stand.watcher.commits(path)} objects were seen under this name"


def clear(stand: Stand) -> None:
    """Remove all records, sources and objects. The accounts stay, with no bytes used."""
    with stand.operator.database() as database:
        for name in (
            *FINAL_STATES,
            "lanes",
            "skipped",
            "contents",
            "manifests",
            "inline",
            "tails",
            "fs.files",
            "fs.chunks",
        ):
            database[name].delete_many({})
        database["auth"].update_many({}, {"$set": {"used_bytes": 0}})
    for directory in stand.remotes.values():
        for entry in list(final_names(directory)):
            Path(entry.path).unlink(missing_ok=True)
    stand.seaweed_bucket.clear()
    stand.sources.remove_all()
    for proxy in (*stand.proxies.values(), stand.sftp):
        proxy.forget()
    stand.watcher.forget()

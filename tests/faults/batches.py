"""Batches of the rows: a tree of sources, the batch that was asked for, and the promises that a row checks."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
from bson import ObjectId

from tests.faults.batch_invariants import sums_line
from tests.faults.watcher import digest_of, final_names
from tests.faults.world import World, wait_for
from tests.journeys.operator import Json, sha256_of

FOLDERS = 8
SMALL_BYTES = 300_000
OVER_SECONDS = 300.0
LONG_AGO_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A folder of sources. `files` has the SHA-256 of each file by the file's name in a batch."""

    path: Path
    files: Mapping[str, str]


def make_tree(world: World, lengths: Sequence[int]) -> Tree:
    """Make a folder with a source of random bytes of each length, spread over folders beneath it."""
    first = world.make_file(0)
    top = first.with_name(f"tree-{first.stem}")
    files = {}
    for number, length in enumerate(lengths):
        path = top / f"folder {number % FOLDERS}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        world.make_file(length).rename(path)
        files[str(path.relative_to(top.parent))] = sha256_of(path)
    return Tree(path=top, files=files)


def small_lengths(world: World, count: int) -> list[int]:
    """Return random lengths of files that are stored and delivered together, from 0 bytes on."""
    return [0, *(world.rng.randrange(1, SMALL_BYTES) for _ in range(count - 1))]


@dataclass(frozen=True, kw_only=True)
class SentBatch:
    """A batch that was asked for."""

    world: World
    batch_id: str
    tree: Tree
    targets: Sequence[str]

    @classmethod
    def start(cls, world: World, tree: Tree, *, to: Sequence[str] = ()) -> "SentBatch":
        body: Json = {"paths": [str(tree.path)]}
        if to:
            body["deliver_to"] = [{"target": target} for target in to]
        answer = world.operator.http.post("/batches", json=body)
        assert answer.status_code == 202, answer.text
        return cls(world=world, batch_id=answer.json()["batch_id"], tree=tree, targets=to)

    def members(self, collection: str, **wanted: object) -> list[dict[str, Any]]:
        """Return the documents of the batch's `files`, `deliveries`, `lanes` or `skipped` that have these values."""
        with self.world.operator.database() as database:
            return list(database[collection].find({"batch_id": ObjectId(self.batch_id), **wanted}))

    def count(self, collection: str, state: str) -> int:
        with self.world.operator.database() as database:
            mine = {"batch_id": ObjectId(self.batch_id), "state": state}
            return int(database[collection].count_documents(mine))

    def past(self, collection: str, state: str, fraction: float, *, seconds: float = OVER_SECONDS) -> None:
        """Wait until at least this fraction of the tree's files is in the state."""
        least = max(1, int(fraction * len(self.tree.files)))
        what = f"{least} {collection} of the batch are {state}"
        wait_for(lambda: self.count(collection, state) >= least, seconds=seconds, what=what)

    def holders(self, collection: str) -> dict[psutil.Process, list[dict[str, Any]]]:
        """Return the worker children that hold leases of members, each with these members."""
        found: dict[psutil.Process, list[dict[str, Any]]] = {}
        for member in self.members(collection, lease_until={"$exists": True}):
            with suppress(psutil.NoSuchProcess):
                child = psutil.Process(int(member["lease_holder"].rpartition(":")[2]))
                found.setdefault(child, []).append(member)
        return found

    def done(self, *, seconds: float = OVER_SECONDS) -> Json:
        """Wait until the batch is DONE, while the api may be away, and return it."""

        def look() -> Json | None:
            batch = answered(lambda: self.world.operator.http.get(f"/batches/{self.batch_id}"))
            return batch if batch is not None and batch["state"] == "DONE" else None

        return wait_for(look, seconds=seconds, what=f"batch {self.batch_id} is DONE")

    def whole(self, *, seconds: float = OVER_SECONDS) -> Json:
        """Wait until the batch is DONE, and return it. Require that every file of the tree arrived everywhere."""
        batch = self.done(seconds=seconds)
        assert batch["error"] is None, batch
        count = len(self.tree.files)
        assert {state: group["count"] for state, group in batch["counts"]["files"].items()} == {"STORED": count}, batch
        deliveries = {state: group["count"] for state, group in batch["counts"]["deliveries"].items()}
        assert deliveries == ({"DELIVERED": count * len(self.targets)} if self.targets else {}), batch
        for target in self.targets:
            assert self._arrived(target) == self.tree.files, f"other files than those of the tree are at {target}"
        require_sums(self.world, self.batch_id, self.tree.files)
        require_quota(self.world)
        return batch

    def _arrived(self, target: str) -> dict[str, str]:
        remote = self.world.remotes[target]
        found = [Path(entry.path) for entry in final_names(remote / self.tree.path.name)]
        return {str(path.relative_to(remote)): digest_of(path)[1] for path in found}


def answered(ask: Callable[[], httpx2.Response]) -> Json | None:
    """Return the body of the answer; None if the api or its database is away."""
    with suppress(httpx2.TransportError):
        answer = ask()
        assert answer.status_code in (200, 503), answer.text
        return dict(answer.json()) if answer.status_code == 200 else None
    return None


def require_sums(world: World, batch_id: str, files: Mapping[str, str]) -> None:
    """Require that the text of digests has a line for each file, in the byte order of names."""
    answer = world.operator.http.get(f"/batches/{batch_id}/sha256sums")
    lines = sorted((name.encode(), sha256) for name, sha256 in files.items())
    assert answer.content == b"".join(sums_line(name, sha256) for name, sha256 in lines)


def require_quota(world: World) -> None:
    """Require that the recount leaves each account with the sum of its files, as if no charge was under way."""
    with world.operator.database() as database:
        database["auth"].update_many({}, [{"$set": {"charged_at": {"$subtract": ["$$NOW", LONG_AGO_SECONDS * 1000]}}}])
        world.operator.gc()
        counted = database["files"].aggregate(
            [
                {"$match": {"state": {"$ne": "DELETED"}}},
                {"$group": {"_id": "$owner", "bytes": {"$sum": "$length"}}},
            ]
        )
        sums = {one["_id"]: one["bytes"] for one in counted}
        used = {one["username"]: one.get("used_bytes", 0) for one in database["auth"].find()}
    assert {name: used[name] for name in sums} == sums

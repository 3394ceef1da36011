"""Each violation is found: the tests plant it in a database and in directories, on a stand without a system."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pymongo
import pytest
from bson import ObjectId

from tests.faults import invariants
from tests.faults.s3_servers import SeaweedBucket
from tests.faults.sources import Sources
from tests.faults.stand import Stand
from tests.faults.watcher import Watcher
from tests.journeys.operator import Json
from tests.servers.proxy import Interceptor, Proxy, Seen
from tests.servers.sftp_proxy import SftpProxy

FILE, CONTENT = ObjectId(), ObjectId()
LENGTH = 2 << 20
NAME = "object.bin"


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invariants, "SETTLED_SECONDS", 0.0)


@pytest.fixture
def database(mongo_url: str) -> Iterator[Any]:
    client: pymongo.MongoClient[Json]
    with pymongo.MongoClient(mongo_url, tz_aware=True) as client:
        name = f"test-{uuid4().hex}"
        yield client[name]
        client.drop_database(name)


@pytest.fixture
def stand(database: Any, tmp_path: Path) -> Stand:
    """Return a stand with one file in GridFS layout, delivered to `hashed`; nothing is wrong with it."""

    @contextmanager
    def open_database() -> Iterator[Any]:
        yield database

    sources = Sources(tmp_path / "sources")
    remotes = {name: tmp_path / name for name in ("hashed", "http")}
    for directory in remotes.values():
        directory.mkdir()
    source = sources.make(LENGTH, rng=Random(1))
    sha256 = sources.accept(source)
    (remotes["hashed"] / NAME).write_bytes(source.read_bytes())
    database["files"].insert_one({"_id": FILE, "state": "STORED", "content_id": CONTENT})
    content = {"_id": CONTENT, "state": "SEALED", "layout": "gridfs", "length": LENGTH}
    database["contents"].insert_one(content)
    database["fs.files"].insert_one({"_id": CONTENT})
    database["fs.chunks"].insert_many({"files_id": CONTENT, "n": n} for n in range(2))
    database["manifests"].insert_one({"_id": {"content": CONTENT, "page": 0}})
    receipt = {"object_name": NAME}
    delivery = {"state": "DELIVERED", "target": "hashed", "length": LENGTH, "sha256": sha256, "receipt": receipt}
    database["deliveries"].insert_one({**delivery, "file_id": FILE, "updated_at": 1})
    return cast(
        "Stand",
        SimpleNamespace(
            operator=SimpleNamespace(database=open_database),
            sources=sources,
            remotes=remotes,
            proxies={name: Proxy(upstream=("", 0)) for name in ("hashed", "chunk_service")},
            sftp=SftpProxy(directory=tmp_path, socket=tmp_path / "socket"),
            seaweed_bucket=SeaweedBucket(tmp_path / "weed", Proxy(upstream=("", 0)), tmp_path / "copies"),
            watcher=Watcher(directories=[remotes["hashed"]], allowed=sources.digests),
        ),
    )


def move(stand: Stand, times: int, *, over: bool = True, at: Interceptor | None = None) -> None:
    """Let the proxy `at`, by default that of `hashed`, note MOVEs to the object that are over, or still under way."""
    (at or stand.proxies["hashed"]).requests += [
        Seen(
            connection=1,
            method="MOVE",
            target="/x.part",
            headers={"destination": f"http://t/{NAME}"},
            at=0,
            last_byte_at=0,
            status=201,
            over=over,
        )
        for _ in range(times)
    ]


def test_nothing_is_found_where_nothing_is_wrong(stand: Stand) -> None:
    move(stand, 1)
    assert invariants.check(stand, []).everything == []


Plant = Callable[[Stand, Any], object]
WRONG: dict[str, Plant] = {
    "object has other bytes": lambda stand, _: (stand.remotes["hashed"] / NAME).write_bytes(b"x" * LENGTH),
    "object is cut short": lambda stand, _: (stand.remotes["hashed"] / NAME).write_bytes(b""),
    "object is missing": lambda stand, _: (stand.remotes["hashed"] / NAME).unlink(),
    "other bytes were seen once": lambda stand, _: stand.watcher.wrong.append("x"),
}
DUPLICATES: dict[str, Plant] = {
    "a second object": lambda stand, _: (stand.remotes["http"] / "twice").write_bytes(
        (stand.remotes["hashed"] / NAME).read_bytes()
    ),
    "a second commit": lambda stand, _: move(stand, 2),
    "a chunk too many": lambda _, database: database["fs.chunks"].insert_one({"files_id": CONTENT, "n": 2}),
    "a chunk too few": lambda _, database: database["fs.chunks"].delete_one({"files_id": CONTENT}),
}
LEFT: dict[str, Plant] = {
    "a part of an object": lambda stand, _: (stand.remotes["http"] / "part").write_bytes(b"x"),
    "a temporary object": lambda stand, _: (stand.remotes["hashed"] / ".gridhaul-0-1.part").write_bytes(b"x"),
    "a record at work": lambda _, database: database["files"].insert_one({"state": "STORING"}),
    "a lease": lambda _, database: database["deliveries"].update_one({}, {"$set": {"lease_until": 1}}),
    "a hint": lambda _, database: database["files"].update_one({}, {"$set": {"hinted_at": 1}}),
    "a claim on a name": lambda _, database: database["deliveries"].update_one({}, {"$set": {"claimed": {}}}),
    "a content of no file": lambda _, database: database["contents"].insert_one({"state": "OPEN"}),
    "a chunk of no content": lambda _, database: database["fs.chunks"].insert_one({"files_id": ObjectId(), "n": 0}),
    "a manifest of no content": lambda _, database: database["manifests"].insert_one(
        {"_id": {"content": ObjectId(), "page": 0}}
    ),
    "an exchange under way": lambda stand, _: move(stand, 1, over=False),
    "an exchange of SFTP under way": lambda stand, _: move(stand, 1, over=False, at=stand.sftp),
}


@pytest.mark.parametrize("plant", WRONG.values(), ids=WRONG)
def test_wrong_bytes_are_counted(stand: Stand, database: Any, plant: Plant) -> None:
    plant(stand, database)
    found = invariants.check(stand, [])
    assert len(found.wrong) >= 1
    with pytest.raises(AssertionError):
        found.require_none()


@pytest.mark.parametrize("plant", DUPLICATES.values(), ids=DUPLICATES)
def test_duplicates_are_counted(stand: Stand, database: Any, plant: Plant) -> None:
    plant(stand, database)
    found = invariants.check(stand, [])
    assert (len(found.wrong), len(found.duplicates)) == (0, 1)


@pytest.mark.parametrize("plant", LEFT.values(), ids=LEFT)
def test_what_is_left_behind_is_found(stand: Stand, database: Any, plant: Plant) -> None:
    plant(stand, database)
    found = invariants.check(stand, [])
    assert (found.wrong, found.duplicates, len(found.left)) == ([], [], 1)


def test_deleted_contents_are_swept_at_once_only_when_no_request_is_under_way(stand: Stand, database: Any) -> None:
    move(stand, 1, over=False)
    later = {"state": "DELETING", "next_attempt_at": "later", "hint_at": "later"}
    database["contents"].insert_one(dict(later))
    invariants.let_sweep_time_pass(stand, database)
    assert database["contents"].count_documents(later) == 1
    stand.proxies["hashed"].requests[0].over = True
    invariants.let_sweep_time_pass(stand, database)
    assert database["contents"].count_documents(later) == 0

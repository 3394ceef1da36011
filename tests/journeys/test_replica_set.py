"""A replica set whose primary is killed in the middle: acknowledged chunks stay stored, and the work goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymongo
import pytest
from pymongo.read_concern import ReadConcern

from gridhaul.embedded.network import HOST
from gridhaul.embedded.system import Configuration, System
from gridhaul.outgoing.headers import read_chunk_digests
from tests.journeys.operator import MIB, Operator, make_file, sha256_of, wait_for
from tests.servers.disturbances import Hold, Side
from tests.servers.proxy import Planned, Proxy, proxying
from tests.servers.replica_set import ReplicaSet, replica_set
from tests.servers.webdav import rclone_webdav

LENGTH = 300 * MIB
LAST_SEGMENT = "/288"  # the number of the last segment's first chunk
TEMPORARY = "/.gridhaul-"
EVERY = 1000
NOT_ONE_FRUITLESS_ATTEMPT = {"GRIDHAUL_MAX_ATTEMPTS": "1"}


@pytest.fixture
def mongods() -> Iterator[ReplicaSet]:
    with replica_set() as found:
        yield found


@pytest.fixture
def commits(tmp_path: Path) -> Iterator[Proxy]:
    (tmp_path / "remote").mkdir()
    with rclone_webdav(tmp_path / "remote", etag_hash=True) as server, proxying(HOST, server.port) as found:
        yield found


@pytest.fixture
def segments() -> Iterator[Proxy]:
    """Yield a proxy in front of the chunk service. `operator` sets its upstream once the chunk service has a port."""
    with proxying(HOST, 9) as found:
        yield found


@pytest.fixture
def operator(tmp_path: Path, mongods: ReplicaSet, commits: Proxy, segments: Proxy) -> Iterator[Operator]:
    (tmp_path / "password").write_text("p")
    targets = (
        f'[targets.remote]\nkind = "webdav"\nurl = "{commits.url}/"\netag_digest = "sha-256"\n'
        f'username = "u"\npassword = {{ file = "{tmp_path / "password"}" }}\n'
    )
    configuration = Configuration(
        data=tmp_path / "data",
        roots=(tmp_path,),
        environment=NOT_ONE_FRUITLESS_ATTEMPT | {"GRIDHAUL_CHUNK_SERVICE_URL": segments.url},
        targets_toml=targets,
        mongo_url=mongods.url,
    )
    with System(configuration) as system:
        segments.upstream = (HOST, int(system.chunk_service_url.rpartition(":")[2]))
        found = Operator(system)
        yield found
        found.close()


def acknowledged(segments: Proxy) -> set[int]:
    """Return the numbers of the chunks that the chunk service acknowledged, even if the worker got no answer."""
    found: set[int] = set()
    for seen in list(segments.requests):
        if seen.method == "PUT" and seen.status in (200, 201):
            first = int(seen.target.rpartition("/")[2])
            found.update(range(first, first + len(read_chunk_digests(seen.headers["chunk-digests"]))))
    return found


def held_by_the_majority(mongods: ReplicaSet) -> set[int]:
    """Return the numbers of the chunks that are on most members, as the new primary knows."""
    mongods.wait_for_primary()
    client: pymongo.MongoClient[dict[str, int]] = pymongo.MongoClient(mongods.url)
    with client:
        chunks = client["files"].get_collection("fs.chunks", read_concern=ReadConcern("majority"))
        return {document["n"] for document in chunks.find({}, {"_id": 0, "n": 1})}


def kill_while_storing(mongods: ReplicaSet, segments: Proxy, *, after_chunks: int) -> None:
    """Kill the primary once `after_chunks` chunks are acknowledged; the next primary must have every one of them."""
    primary = mongods.wait_for_primary()
    wait_for(lambda: len(acknowledged(segments)) >= after_chunks, seconds=60, what=f"{after_chunks} chunks are stored")
    mongods.kill(primary)
    known = acknowledged(segments)
    assert len(known) < LENGTH // MIB
    assert known <= held_by_the_majority(mongods)
    mongods.start_again(primary)


@contextmanager
def held_in_the_middle(proxy: Proxy, part_of_target: str, *, after_bytes: int) -> Iterator[Planned]:
    """Hold every such PUT after `after_bytes` until the block ends, however fast the machine is."""
    hold = Hold(side=Side.REQUEST, after_bytes=after_bytes)
    planned = proxy.plan(hold, method="PUT", part_of_target=part_of_target, times=EVERY)
    try:
        yield planned
    finally:
        proxy.plans.remove(planned)
        hold.release()


def test_killed_primaries_lose_nothing(
    tmp_path: Path, operator: Operator, mongods: ReplicaSet, segments: Proxy, commits: Proxy
) -> None:
    source = make_file(tmp_path / "large.bin", LENGTH)
    with held_in_the_middle(commits, TEMPORARY, after_bytes=LENGTH // 2) as delivering:
        with held_in_the_middle(segments, LAST_SEGMENT, after_bytes=0):
            file_id = operator.prepare(source, to="remote")
            kill_while_storing(mongods, segments, after_chunks=48)
            kill_while_storing(mongods, segments, after_chunks=160)
        assert operator.stored(file_id)["digests"]["sha-256"] == sha256_of(source)
        delivering.wait(60)
        mongods.kill(mongods.wait_for_primary())
    delivery = operator.delivered(file_id)
    assert delivery["receipt"]["sha-256"] == sha256_of(source)
    assert sha256_of(tmp_path / "remote" / "large.bin") == sha256_of(source)
    assert commits.count("MOVE") == 1

"""Small files that real processes store together: whatever disturbs the bundle, each file gets its own outcome."""

import base64
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from celery import Celery
from redis import Redis

from gridhaul.embedded.system import Configuration, System
from gridhaul.transfer.model import Queue, TaskName
from tests.folders import NewFolder
from tests.journeys.operator import Json, Operator, make_file, sha256_of, wait_for
from tests.servers.disturbances import Flip, Hold, LoseAnswer, Side
from tests.servers.proxy import Planned, Proxy, proxying

SETTINGS = {
    "GRIDHAUL_LEASE_SECONDS": "15",
    "GRIDHAUL_RENEW_SECONDS": "2",
    "GRIDHAUL_DISPATCH_SECONDS": "1",
    "GRIDHAUL_SWEEP_SECONDS": "3",
}
QUEUE = Queue.SMALL.value
BUNDLE = "/contents"
LENGTHS = (65536, 1, 0, 700_000, 65536, 2 << 20, 4096, 12345)
OVER_SECONDS = 60
STRIKE_SECONDS = 30


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """Yield a proxy between the workers and the chunk service."""
    with proxying("127.0.0.1", 9) as found:
        yield found


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory, new_folder: NewFolder, proxy: Proxy) -> Iterator[Operator]:
    with new_folder("bundles") as data:
        configuration = Configuration(
            data=data / "data",
            roots=(tmp_path_factory.getbasetemp(),),
            port=None,
            environment=SETTINGS | {"GRIDHAUL_CHUNK_SERVICE_URL": proxy.url},
            small_children=1,
            large_children=1,
        )
        with System(configuration) as system:
            host, _, port = system.chunk_service_url.removeprefix("http://").partition(":")
            proxy.upstream = (host, int(port))
            found = Operator(system)
            yield found
            found.close()


@pytest.fixture
def sources(operator: Operator, proxy: Proxy, tmp_path: Path) -> Iterator[list[Path]]:
    operator.system.wait_ready(timeout_seconds=OVER_SECONDS)
    proxy.forget()
    yield [make_file(tmp_path / f"f{n}", length) for n, length in enumerate(LENGTHS)]
    proxy.forget()


def hinted_together(
    operator: Operator, sources: Sequence[Path], *, then: Callable[[], None] = lambda: None
) -> list[str]:
    """Prepare the sources while no worker runs, call `then`, and hint all files with one message. Return their ids."""
    system = operator.system
    system.stop_program("worker_small")
    files = [operator.prepare(source) for source in sources]
    then()
    with Redis.from_url(system.redis_url) as redis:
        hinted = lambda: set(files) <= named(redis)  # noqa: E731
        wait_for(hinted, seconds=STRIKE_SECONDS, what="the api has sent all hints that it held back")
        Celery(broker=system.redis_url, set_as_current=False).send_task(TaskName.STORE_BUNDLE, [files], queue=QUEUE)
        redis.ltrim(QUEUE, 0, 0)  # only the first message, the bundle sent just now, stays
    system.start_program("worker_small")
    return files


def named(redis: "Redis") -> set[str]:
    """Return the ids of files in the messages of the queue."""
    bodies = [json.loads(message)["body"] for message in redis.lrange(QUEUE, 0, -1)]
    arguments = [json.loads(base64.b64decode(body))[0][0] for body in bodies]
    return {one for ids in arguments for one in ([ids] if isinstance(ids, str) else ids)}


def over(operator: Operator, file_id: str) -> Json:
    """Wait until the file is STORED or FAILED, and return it."""

    def look() -> Json | None:
        file = operator.file(file_id)
        return file if file["state"] in ("STORED", "FAILED") else None

    return wait_for(look, seconds=OVER_SECONDS, what=f"{file_id} is over")


def record(operator: Operator, collection: str, record_id: str) -> dict[str, Any]:
    with operator.database() as database:
        return dict(database[collection].find_one({"_id": ObjectId(record_id)}))


def require_stored(operator: Operator, files: Sequence[str], sources: Sequence[Path], *, attempts: int) -> None:
    """Assert that each file is stored with its own bytes after `attempts`, and that fsck finds nothing wrong."""
    for file_id, source in zip(files, sources, strict=True):
        file = over(operator, file_id)
        assert (file["state"], file["error"], file["attempts"]) == ("STORED", None, attempts), file
        assert file["digests"]["sha-256"] == sha256_of(source)
        assert operator.http.get(f"/files/{file_id}/content").content == source.read_bytes()
    check = operator.fsck()
    assert (check["found"], check["findings"]) == (0, []), check


def bundles(proxy: Proxy) -> list[int | None]:
    """Return the statuses of the answers to bundles."""
    return [seen.status for seen in list(proxy.requests) if seen.target == BUNDLE]


def held(proxy: Proxy, side: Side, after_bytes: int = 1) -> tuple[Hold, Planned]:
    """Plan to hold the next bundle, in its request or in its answer, until the hold is released."""
    hold = Hold(side=side, after_bytes=after_bytes)
    return hold, proxy.plan(hold, method="POST", part_of_target=BUNDLE)


def test_changed_and_missing_sources_fail_and_the_others_of_the_bundle_are_stored(
    operator: Operator, proxy: Proxy, sources: list[Path]
) -> None:
    def disturb() -> None:
        sources[2].write_bytes(b"grown")
        os.truncate(sources[3], 1)
        sources[5].unlink()

    files = hinted_together(operator, sources, then=disturb)
    for n, code in {2: "source_changed", 3: "source_changed", 5: "source_missing"}.items():
        file = over(operator, files[n])
        assert (file["state"], file["error"]["code"], file["attempts"]) == ("FAILED", code, 1)
    good = [n for n in range(len(files)) if n not in (2, 3, 5)]
    require_stored(operator, [files[n] for n in good], [sources[n] for n in good], attempts=1)
    assert bundles(proxy) == [200]
    assert proxy.count("PUT") == 0


@pytest.mark.parametrize("side", [Side.REQUEST, Side.ANSWER])
def test_killed_worker_is_followed_by_one_that_stores_each(
    operator: Operator, proxy: Proxy, sources: list[Path], side: Side
) -> None:
    """The worker is killed before anything of the bundle is stored, or after all of it is stored."""
    hold, planned = held(proxy, side)
    files = hinted_together(operator, sources)
    planned.wait(STRIKE_SECONDS)
    contents = [record(operator, "files", file_id)["content_id"] for file_id in files]
    operator.holder_of("files").kill()
    hold.release()
    proxy.reset_all()
    for file_id, content_id in zip(files, contents, strict=True):
        file = over(operator, file_id)
        assert (file["state"], file["attempts"]) == ("STORED", 2)
        assert record(operator, "files", file_id)["content_id"] == content_id, "the content stays the same"
    require_stored(operator, files, sources, attempts=2)
    if side is Side.ANSWER:
        assert proxy.count("PUT") == 0, "stored bytes are not sent again"


def test_killed_chunk_service_takes_the_bundle_when_it_is_back(
    operator: Operator, proxy: Proxy, sources: list[Path]
) -> None:
    hold, planned = held(proxy, Side.REQUEST, after_bytes=100_000)
    files = hinted_together(operator, sources)
    planned.wait(STRIKE_SECONDS)
    os.kill(operator.system.pid("chunk_service"), 9)
    hold.release()
    require_stored(operator, files, sources, attempts=1)


def test_bundle_is_not_stored_twice_when_its_answer_is_lost(
    operator: Operator, proxy: Proxy, sources: list[Path]
) -> None:
    proxy.plan(LoseAnswer(), method="POST", part_of_target=BUNDLE)
    require_stored(operator, hinted_together(operator, sources), sources, attempts=1)
    assert bundles(proxy) == [200] * 2
    assert proxy.count("PUT") == 0


def test_bit_that_flips_on_the_wire_is_noticed_and_the_bundle_sent_again(
    operator: Operator, proxy: Proxy, sources: list[Path]
) -> None:
    proxy.plan(Flip(side=Side.REQUEST, at_byte=500_000), method="POST", part_of_target=BUNDLE)
    require_stored(operator, hinted_together(operator, sources), sources, attempts=1)
    assert bundles(proxy) == [422, 200]


def test_file_that_is_cancelled_meanwhile_stays_so_and_leaves_nothing_when_it_is_deleted(
    operator: Operator, proxy: Proxy, sources: list[Path]
) -> None:
    hold, planned = held(proxy, Side.REQUEST)
    cancelled, *files = reversed(hinted_together(operator, sources))
    planned.wait(STRIKE_SECONDS)
    operator.operate("files", cancelled, "cancel")
    hold.release()
    require_stored(operator, files, sources[-2::-1], attempts=1)
    assert operator.file(cancelled)["state"] == "CANCELLED"
    content_id = record(operator, "files", cancelled)["content_id"]
    assert operator.http.delete(f"/files/{cancelled}").is_success
    with operator.database() as database:
        gone = lambda: database["contents"].find_one({"_id": content_id}) is None  # noqa: E731
        wait_for(gone, seconds=OVER_SECONDS, what="the content of the cancelled file is swept")
        assert database["inline"].find_one({"_id": content_id}, {"_id": 1}) is None
        assert database["manifests"].find_one({"_id.content": content_id}) is None
    assert operator.gc()["found"] == 0


def test_worker_that_is_told_to_stop_gives_the_bundle_back(
    operator: Operator, proxy: Proxy, sources: list[Path]
) -> None:
    hold, planned = held(proxy, Side.REQUEST)
    files = hinted_together(operator, sources)
    planned.wait(STRIKE_SECONDS)
    operator.system.stop_program("worker_small")
    for file_id in files:
        file = record(operator, "files", file_id)
        assert (file["state"], file["attempts"], "lease_until" in file) == ("REGISTERED", 0, False)
    hold.release()
    operator.system.start_program("worker_small")
    require_stored(operator, files, sources, attempts=1)

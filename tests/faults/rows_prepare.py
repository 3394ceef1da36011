"""Faults while a file is registered."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from tests.faults.catalogue import fault
from tests.faults.world import MIB, World, wait_for

ANSWER_SECONDS = 1.0
AT_ONCE = 50
RECOVERY_SECONDS = 30


@fault(1, stage="prepare", title="MongoDB down")
def database_down(world: World) -> None:
    source, key = world.make_file(MIB), f"key-{world.rng.random()}"
    waiting = world.queued()
    with world.stopped("mongod"):
        answer = _prepare(world, source, key=key)
        assert answer.status_code == 503, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
        assert world.queued() == waiting, "a message was enqueued"
    with world.recovers():
        wait_for(
            lambda: _prepare(world, source, key=key).status_code == 202, seconds=RECOVERY_SECONDS, what="prepare works"
        )
    with world.operator.database() as database:
        (file,) = database["files"].find()
    world.operator.stored(str(file["_id"]))


@fault(2, stage="prepare", title="Redis down, 50 prepares at once", alone=True)
def broker_down(world: World) -> None:
    sources = _small_files(world, AT_ONCE)
    with world.stopped("redis"):
        files = _prepare_all(world, sources)
    _require_delivered(world, files)


@fault(2, stage="prepare", title="Redis accepting and silent, 50 prepares at once", alone=True)
def broker_silent(world: World) -> None:
    sources = _small_files(world, AT_ONCE)
    with world.paused(world.process("redis")):
        files = _prepare_all(world, sources)
    _require_delivered(world, files)


@fault(3, stage="prepare", title="kill -9 of the api between insert and enqueue")
def killed_before_enqueue(world: World) -> None:
    source = world.make_file(MIB)
    with world.stopped("redis"):
        file_id = world.send(source, to="directory")
        world.kill("api")
    _require_delivered(world, [file_id])


@fault(3, stage="prepare", title="kill -9 of the api while 30 prepares arrive, each repeated with its key")
def killed_while_preparing(world: World) -> None:
    sources = _small_files(world, 30)
    moment = world.rng.uniform(0.0, 0.25)
    killer = world.process("api")

    def prepare(source: Path) -> str:
        return wait_for(lambda: _id_of(world, source), seconds=RECOVERY_SECONDS, what="prepare is answered")

    with ThreadPoolExecutor(10) as pool:
        answers = pool.map(prepare, sources)
        time.sleep(moment)
        killer.kill()
        files = list(answers)
    assert len(set(files)) == len(sources), "two sources got the same file"
    _require_delivered(world, files)


@fault(4, stage="prepare", title="the same Idempotency-Key twice, also 20 times at once")
def same_key(world: World) -> None:
    source = world.make_file(3 * MIB)
    key = f"key-{world.rng.random()}"
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: _prepare(world, source, key=key), range(20)))
    answers.append(_prepare(world, source, key=key))
    assert {answer.status_code for answer in answers} == {202}
    (file_id,) = {answer.json()["file_id"] for answer in answers}
    _require_delivered(world, [file_id])
    assert _prepare(world, source, key=key).json()["file_id"] == file_id


def _prepare(world: World, source: Path, *, key: str | None = None) -> httpx2.Response:
    body = {"file_path": str(source), "deliver_to": {"target": "directory"}}
    return world.operator.http.post(
        "/upload/prepare", json=body, headers={"Idempotency-Key": key} if key is not None else {}
    )


def _id_of(world: World, source: Path) -> str | None:
    """Prepare the source with its name as Idempotency-Key. Return the file's id, or None without the answer 202."""
    try:
        answer = _prepare(world, source, key=source.name)
    except httpx2.TransportError:
        return None
    return str(answer.json()["file_id"]) if answer.status_code == 202 else None


def _small_files(world: World, count: int) -> list[Path]:
    return [world.make_file(world.rng.randrange(256 << 10)) for _ in range(count)]


def _prepare_all(world: World, sources: Sequence[Path]) -> list[str]:
    """Prepare all sources at once, require that each answer takes less than a second, and return the file ids."""

    def prepare(source: Path) -> tuple[str, float]:
        asked_at = time.monotonic()
        return world.send(source, to="directory"), time.monotonic() - asked_at

    with ThreadPoolExecutor(len(sources)) as pool:
        answers = list(pool.map(prepare, sources))
    slowest = max(seconds for _, seconds in answers)
    assert slowest < ANSWER_SECONDS, f"an answer took {slowest:.2f} s"
    return [file_id for file_id, _ in answers]


def _require_delivered(world: World, files: Sequence[str]) -> None:
    """Require that every file is delivered with one attempt, and that no other file exists."""
    delivered: Callable[[], bool] = lambda: _count(world, "deliveries", state="DELIVERED") == len(files)  # noqa: E731
    with world.recovers():
        wait_for(delivered, seconds=RECOVERY_SECONDS, what=f"{len(files)} files are delivered")
    assert _count(world, "files") == _count(world, "contents") == len(files)
    assert _count(world, "files", attempts=1) == _count(world, "deliveries", attempts=1) == len(files)


def _count(world: World, collection: str, **wanted: object) -> int:
    with world.operator.database() as database:
        return int(database[collection].count_documents(wanted))

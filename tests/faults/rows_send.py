"""Faults on the way from a worker to the chunk service."""

import http
from collections.abc import Sequence

from gridhaul.transfer.bundle import BUNDLED_FILE_BYTES
from tests.faults.catalogue import fault
from tests.faults.world import MIB, World
from tests.servers.disturbances import Answer, Cut, Flip, Hold, LoseAnswer, Side
from tests.servers.proxy import Seen

SEGMENT_BYTES = 16 * MIB
STRIKE_SECONDS = 30
DELIVERED_SECONDS = 45
BUNDLES_MOST = 4  # the row tries so many until one is not given up before its repeat

REFUSALS = (
    Answer(status=500),
    Answer(status=502),
    Answer(status=503, headers={"Retry-After": "2"}),
    Answer(status=429, headers={"Retry-After": "1"}),
)


@fault(15, stage="send", title="the chunk service answers 500, 502, 503, 429 at the N-th request")
def service_refuses(world: World) -> None:
    length = _length(world, segments=6)
    needed = _segments(length) + 1  # the segments and the seal
    plans = [world.proxies["chunk_service"].plan(answer, skip=world.rng.randrange(needed)) for answer in REFUSALS]
    with world.recovers():
        file_id = _store(world, length)
    assert [plan.hits for plan in plans] == [1] * len(plans)
    seen = len(world.proxies["chunk_service"].requests)
    assert seen == needed + len(plans), "more requests were repeated than were refused"
    for answer in REFUSALS:
        _require_repeated_in_time(world, answer)
    _require_stored_once(world, file_id, length)


@fault(16, stage="send", title="connection reset after k bytes")
def connection_reset(world: World) -> None:
    length = _length(world, segments=5)
    cut = world.rng.sample(range(_segments(length)), 3)
    for segment in cut:
        after = world.rng.randrange(_bytes_of(length, segment))
        _plan(world, Cut(side=Side.REQUEST, after_bytes=after), segment)
    with world.recovers():
        file_id = _store(world, length)
    for segment in range(_segments(length)):
        *before, last = _statuses(world, segment)
        assert last == http.HTTPStatus.CREATED, f"segment {segment}: {before} {last}"
        assert len(before) == cut.count(segment), f"segment {segment}: {before} {last}"
        assert http.HTTPStatus.CREATED not in before, "a segment was stored before all of it had been sent"
    _require_stored_once(world, file_id, length)


@fault(
    17,
    stage="send",
    title="the answer is lost after the commit: of a segment, the seal, a small file, a bundle",
)
def answer_lost(world: World) -> None:
    length = _length(world, segments=4)
    lost = world.rng.sample(range(_segments(length)), 2)
    for segment in lost:
        _plan(world, LoseAnswer(), segment)
    world.proxies["chunk_service"].plan(LoseAnswer(), method="POST", part_of_target="/seal")
    with world.recovers():
        file_id = _store(world, length)
    for segment in range(_segments(length)):
        once, twice = [http.HTTPStatus.CREATED], [http.HTTPStatus.CREATED, http.HTTPStatus.OK]
        assert _statuses(world, segment) == (twice if segment in lost else once), f"segment {segment}"
    assert [seen.status for seen in _seen(world, "/seal")] == [http.HTTPStatus.OK] * 2
    _require_stored_once(world, file_id, length)
    _lose_answer_of_small_file(world)
    _lose_answer_of_bundle(world)


@fault(18, stage="send", title="a bit flips on the wire")
def bit_flipped(world: World) -> None:
    length = _length(world, segments=4)
    segment = world.rng.randrange(_segments(length))
    at_byte, bit = world.rng.randrange(_bytes_of(length, segment)), world.rng.randrange(8)
    _plan(world, Flip(side=Side.REQUEST, at_byte=at_byte, bit=bit), segment)
    repeat = Hold(side=Side.REQUEST, after_bytes=0)
    held = world.proxies["chunk_service"].plan(repeat, method="PUT", part_of_target=_target(segment))
    with world.recovers():
        file_id = world.send(world.make_file(length), to="hashed")
        held.wait(STRIKE_SECONDS)
        stored = _chunks_of_segment(world, file_id, segment)
        first, second = _seen(world, _target(segment))
        assert first.status == http.HTTPStatus.UNPROCESSABLE_ENTITY
        assert second.body_bytes == 0, "the repeat was sent before the test looked at the stored chunks"
        repeat.release()
        assert stored == 0, f"{stored} chunks of the flipped segment were stored"
        world.operator.delivered(file_id, seconds=DELIVERED_SECONDS)
    assert _statuses(world, segment) == [http.HTTPStatus.UNPROCESSABLE_ENTITY, http.HTTPStatus.CREATED]
    _require_stored_once(world, file_id, length)


def _lose_answer_of_small_file(world: World) -> None:
    """Lose the answer about a file that is just too large for a bundle: one request stores all of it."""
    world.proxies["chunk_service"].forget()
    length = world.rng.randrange(BUNDLED_FILE_BYTES + 1, SEGMENT_BYTES)
    _plan(world, LoseAnswer(), 0)
    file_id = _store(world, length)
    assert _statuses(world, 0) == [http.HTTPStatus.CREATED, http.HTTPStatus.OK]
    _require_stored_once(world, file_id, length)


def _lose_answer_of_bundle(world: World) -> None:
    """Lose the answer about a bundle: files so small that they are stored together.

    The pause before the repeat is random, and may last until the bundle is given up. Its file is then stored by itself.
    """
    proxy = world.proxies["chunk_service"]
    for _ in range(BUNDLES_MOST):
        proxy.forget()
        proxy.plan(LoseAnswer(), method="POST", part_of_target="/contents")
        length = world.rng.randrange(1, BUNDLED_FILE_BYTES)
        file_id = _store(world, length)
        assert world.operator.file(file_id)["stored_bytes"] == length
        statuses = [seen.status for seen in _seen(world, "/contents")]
        if statuses != [http.HTTPStatus.OK]:
            break
    assert statuses == [http.HTTPStatus.OK] * 2


def _length(world: World, *, segments: int) -> int:
    """Return a random length of so many segments, the last one short."""
    return (segments - 1) * SEGMENT_BYTES + world.rng.randrange(1, SEGMENT_BYTES)


def _segments(length: int) -> int:
    return -(-length // SEGMENT_BYTES)


def _bytes_of(length: int, segment: int) -> int:
    return min(SEGMENT_BYTES, length - segment * SEGMENT_BYTES)


def _target(segment: int) -> str:
    return f"/chunks/{segment * 16}"


def _plan(world: World, disturbance: Cut | Flip | LoseAnswer, segment: int) -> None:
    """Disturb the first request that sends the segment."""
    world.proxies["chunk_service"].plan(disturbance, method="PUT", part_of_target=_target(segment))


def _store(world: World, length: int) -> str:
    """Send a new file, require that it is stored in one attempt and delivered, and return its id."""
    file_id = world.send(world.make_file(length), to="hashed")
    world.operator.delivered(file_id, seconds=DELIVERED_SECONDS)
    assert world.operator.file(file_id)["attempts"] == 1
    return file_id


def _seen(world: World, end_of_target: str) -> Sequence[Seen]:
    """Return the requests to the chunk service whose target ends so, in order."""
    return [seen for seen in list(world.proxies["chunk_service"].requests) if seen.target.endswith(end_of_target)]


def _statuses(world: World, segment: int) -> list[int | None]:
    return [seen.status for seen in _seen(world, _target(segment))]


def _require_repeated_in_time(world: World, answer: Answer) -> None:
    """Require that the refused request was sent again, no sooner than its `Retry-After` asked for."""
    (refused,) = [seen for seen in list(world.proxies["chunk_service"].requests) if seen.status == answer.status]
    repeats = [seen for seen in _seen(world, refused.target) if seen.at > refused.at]
    assert repeats, f"{refused} was not repeated"
    waited = repeats[0].at - refused.last_byte_at
    wanted = float(answer.headers.get("Retry-After", "0"))
    assert waited >= wanted, f"after {answer.status}, Retry-After {wanted}, the repeat came after {waited:.2f} s"


def _chunks_of_segment(world: World, file_id: str, segment: int) -> int:
    numbers = {"$gte": segment * 16, "$lt": (segment + 1) * 16}
    with world.operator.database() as database:
        content = world.record("files", file_id)["content_id"]
        return int(database["fs.chunks"].count_documents({"files_id": content, "n": numbers}))


def _require_stored_once(world: World, file_id: str, length: int) -> None:
    """Require that the file's content has exactly the chunks of its length, each number once."""
    chunks = -(-length // MIB)
    with world.operator.database() as database:
        content = world.record("files", file_id)["content_id"]
        numbers = [one["n"] for one in database["fs.chunks"].find({"files_id": content}, {"n": 1}).sort("n")]
        inline = database["inline"].find_one({"_id": content}, {"digests": 1})
    found = len(inline["digests"]) // 32 if inline else len(numbers)
    assert found == chunks, f"{found} chunks are stored of {chunks}"
    assert not numbers or numbers == list(range(chunks))

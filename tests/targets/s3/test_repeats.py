"""Parts that the target does not take now are sent again within the attempt, and fewer of them at once."""

import asyncio
import math
import time
from collections.abc import Iterator
from random import Random

import pytest
import structlog

from gridhaul.targets.s3 import in_flight
from gridhaul.targets.s3.documents import PartTag
from gridhaul.targets.s3.in_flight import GROWS_AFTER, TRIES, InFlight
from gridhaul.targets.s3.leaving import OncePerByte
from gridhaul.targets.s3.part_sizes import AT_ONCE
from gridhaul.targets.s3.part_sizes import PART_LEAST_BYTES as PART
from gridhaul.targets.s3.parts import Part
from gridhaul.targets.s3.writing import PartWriter, Send
from gridhaul.transfer.errors import GridhaulError, LeaseLost, TargetBusy, TargetRefused, TargetUnavailable
from gridhaul.transfer.ports.targets import Leaving
from tests.servers.cutting import cutting
from tests.servers.disturbances import Answer, Cut, Disturbance, LoseAnswer, Side
from tests.servers.proxy import Proxy, proxying
from tests.targets.blocks import SomeBlocks, untold
from tests.targets.deliveries import DELIVERY, holding, read, stage_of, unnoted
from tests.targets.places import S3Place

DATA = Random(7).randbytes(2 * PART + 3)
SMALL = 1000  # bytes in a part; the writer takes any size


@pytest.fixture
def proxy(place: S3Place) -> Iterator[Proxy]:
    with proxying(place.server.host, place.server.port) as proxy:
        yield proxy


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "backoff_seconds", lambda *_, **__: 0.0)


def error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code></Error>".encode()


class Counted:
    """`Leaving` that adds up what leaves."""

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, count: int) -> None:
        self.total += count


@pytest.mark.usefixtures("_no_pause")
@pytest.mark.parametrize(
    "disturbance",
    [
        Answer(status=503, body=error("SlowDown")),
        Answer(status=503, headers={"Retry-After": "1"}),
        Answer(status=429),
        Answer(status=400, body=error("RequestTimeout")),
        Answer(status=500, body=error("InternalError")),
        Cut(side=Side.REQUEST, after_bytes=1 << 20),
        LoseAnswer(),
    ],
    ids=["SlowDown", "503", "429", "RequestTimeout", "InternalError", "cut", "lost answer"],
)
async def test_part_is_sent_again_and_counted_once(place: S3Place, proxy: Proxy, disturbance: Disturbance) -> None:
    left = Counted()
    async with place.target(endpoint=proxy.url) as target:
        stage = await target.begin(stage_of("run.bin", len(DATA)))
        planned = proxy.plan(disturbance, method="PUT", part_of_target="partNumber=2&")
        whole = await target.write(stage, SomeBlocks(DATA), leaving=left, confirmed=unnoted)
        assert planned.hits == 1
        assert left.total == len(DATA)
        await target.commit(whole)
        assert await read(target, "run.bin", DATA) == holding(DATA)
        await target.remove("run.bin")


async def test_cut_at_a_random_byte_costs_no_attempt(place: S3Place) -> None:
    left = Counted()
    server = (place.server.host, place.server.port)
    with cutting(server, cuts=[Random(place.kind).randrange(2000, len(DATA))]) as relay:
        async with place.target(endpoint=relay.url) as target:
            stage = await target.begin(stage_of("run.bin", len(DATA)))
            whole = await target.write(stage, SomeBlocks(DATA), leaving=left, confirmed=unnoted)
            await target.commit(whole)
            assert await read(target, "run.bin", DATA) == holding(DATA)
            await target.remove("run.bin")
        assert relay.made == 1
        assert relay.sent_bytes <= len(DATA) + PART + (1 << 16)  # the rest is heads
    assert left.total == len(DATA)


@pytest.mark.usefixtures("_no_pause")
async def test_target_that_stays_busy_ends_the_attempt(weed: S3Place) -> None:
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.target(endpoint=proxy.url) as target:
            stage = await target.begin(stage_of("run.bin", 4))
            planned = proxy.plan(Answer(status=503, body=error("SlowDown")), method="PUT", times=99)
            with pytest.raises(TargetBusy):
                await target.write(stage, SomeBlocks(b"data"), leaving=untold, confirmed=unnoted)
            assert planned.hits == TRIES
            await target.abandon(stage)


async def test_log_tells_the_delivery_and_the_part_that_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    async def send(part: Part, _: Leaving) -> PartTag:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise TargetBusy("busy", retry_after_seconds=0.01)
        return PartTag(etag=f"{part.number}", sha256=None)

    with structlog.testing.capture_logs() as lines:
        await _writer(SomeBlocks(bytes(SMALL)), send).write(unnoted)
    assert [(line["event"], line["record_id"], line["part"]) for line in lines] == [("s3_part_repeated", DELIVERY, 1)]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(status=403, body=error("AccessDenied")), TargetRefused),
        (Answer(status=403, body=error("ExpiredToken")), TargetUnavailable),
        (Answer(status=503, headers={"Retry-After": "60"}), TargetBusy),
    ],
)
async def test_answer_that_a_repeat_does_not_cure_ends_the_attempt_at_once(
    weed: S3Place, answer: Answer, kind: type[GridhaulError]
) -> None:
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.target(endpoint=proxy.url) as target:
            stage = await target.begin(stage_of("run.bin", 4))
            planned = proxy.plan(answer, method="PUT", times=99)
            with pytest.raises(kind) as caught:
                await target.write(stage, SomeBlocks(b"data"), leaving=untold, confirmed=unnoted)
            assert planned.hits == 1
            assert caught.value.retry_after_seconds == (None if kind is TargetRefused else 60)
            await target.abandon(stage)


async def test_retry_after_is_obeyed(weed: S3Place) -> None:
    with proxying(weed.server.host, weed.server.port) as proxy:
        async with weed.target(endpoint=proxy.url) as target:
            stage = await target.begin(stage_of("run.bin", 4))
            proxy.plan(Answer(status=503, headers={"Retry-After": "2"}), method="PUT")
            began = time.monotonic()
            await target.write(stage, SomeBlocks(b"data"), leaving=untold, confirmed=unnoted)
            assert time.monotonic() - began >= 2
            await target.abandon(stage)


async def test_cancel_between_two_tries_ends_the_writing() -> None:
    tried = asyncio.Event()

    async def send(_: Part, __: Leaving) -> PartTag:
        tried.set()
        raise TargetBusy("busy", retry_after_seconds=in_flight.LONGEST_WAIT_SECONDS)

    writing = asyncio.create_task(_writer(SomeBlocks(bytes(SMALL)), send).write(unnoted))
    await tried.wait()
    began = time.monotonic()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert time.monotonic() - began < in_flight.LONGEST_WAIT_SECONDS / 2


@pytest.mark.usefixtures("_no_pause")
async def test_lost_lease_ends_the_repeats() -> None:
    tries = 0

    def leaving(_: int) -> None:
        if tries == 2:
            raise LeaseLost

    async def send(_: Part, leaving: Leaving) -> PartTag:
        nonlocal tries
        tries += 1
        leaving(0)
        raise TargetUnavailable("gone")

    with pytest.raises(LeaseLost):
        await _writer(SomeBlocks(bytes(SMALL)), send, leaving).write(unnoted)
    assert tries == 2


@pytest.mark.usefixtures("_no_pause")
async def test_fewer_parts_are_sent_at_once_after_the_target_was_busy() -> None:
    """All of the first parts are refused while all of them are under way, and all of them are sent again at once."""
    running, at_once, all_run = 0, list[int](), asyncio.Event()

    async def send(part: Part, _: Leaving) -> PartTag:
        nonlocal running
        running += 1
        at_once.append(running)
        try:
            if not all_run.is_set():
                if running == AT_ONCE:
                    all_run.set()
                await all_run.wait()
                raise TargetBusy("busy")
            await asyncio.sleep(0.01)
        finally:
            running -= 1
        return PartTag(etag=f"{part.number}", sha256=None)

    whole = await _writer(SomeBlocks(bytes(20 * SMALL)), send).write(unnoted)
    assert whole.is_whole
    assert at_once[:4] == [1, 2, 3, 4]
    assert len(at_once) == 24
    assert max(at_once[4:]) == 2


async def test_burst_of_refusals_halves_the_slots_once() -> None:
    slots, all_run = InFlight(4), asyncio.Event()

    async def refused() -> None:
        async with slots.slot():
            await all_run.wait()
            raise TargetBusy("busy")

    burst = [asyncio.create_task(refused()) for _ in range(4)]
    await asyncio.sleep(0)
    all_run.set()
    await asyncio.gather(*burst, return_exceptions=True)
    assert slots.slots == 2
    with pytest.raises(TargetBusy):
        await refused()
    assert slots.slots == 1


async def test_slots_halve_at_each_busy_and_grow_by_one_after_64_confirmed_parts() -> None:
    slots = InFlight(4)
    seen = []
    for _ in range(3):
        with pytest.raises(TargetBusy):
            async with slots.slot():
                raise TargetBusy("busy")
        seen.append(slots.slots)
    assert seen == [2, 1, 1]
    with pytest.raises(TargetUnavailable):
        async with slots.slot():
            raise TargetUnavailable("gone")
    assert slots.slots == 1
    grown = []
    for _ in range(4 * GROWS_AFTER):
        slots.confirmed()
        grown.append(slots.slots)
    assert grown[GROWS_AFTER - 2 :: GROWS_AFTER] == [1, 2, 3, 4]
    assert grown[GROWS_AFTER - 1 :: GROWS_AFTER] == [2, 3, 4, 4]


async def test_waiting_parts_get_a_slot_that_is_freed_or_new() -> None:
    slots, holding_one = InFlight(1), asyncio.Event()
    order: list[int] = []

    async def take(number: int) -> None:
        async with slots.slot():
            order.append(number)
            await holding_one.wait()

    tasks = [asyncio.create_task(take(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert order == [0]
    tasks[1].cancel()
    holding_one.set()
    await asyncio.wait(tasks)
    assert order == [0, 2]


def test_bytes_that_leave_again_are_told_as_none() -> None:
    told: list[int] = []
    leaving = OncePerByte(told.append)
    for tries in ((0, 10, 10), (0, 7, 7, 7), (0, 10, 10, 10)):
        leaving.begin_again()
        for count in tries:
            leaving(count)
    assert told == [0, 10, 10, 0, 0, 0, 1, 0, 0, 0, 9]
    assert math.fsum(told) == 30


def _writer(blocks: SomeBlocks, send: Send, leaving: Leaving = untold) -> PartWriter:
    length = len(b"".join(blocks))
    return PartWriter(stage_of("x", length), SMALL, blocks, sha256=False, leaving=leaving, send=send)

"""Deliveries that are made together, to a real directory and real WebDAV servers; memory twins hold everything else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gridhaul.targets.http_session import HttpSession
from gridhaul.transfer.errors import DatabaseUnavailable, TargetUnavailable
from gridhaul.transfer.model import Delivery, Evidence, IfExists, Lease, RecordId, Stage
from gridhaul.transfer.ports.targets import Target
from gridhaul.transfer.states import DELIVERABLE, DELIVERY_MOVES, Action, DeliveryState
from tasks.clean_delivery import clean_up
from tasks.delivering import deliver_together as together
from tasks.delivering.deliver_together import deliver_together
from tasks.finalize_file import deliver_file
from tasks.runtime import Runtime
from tests.contracts.bytes_to_store import MIB, some_bytes
from tests.contracts.ports import destination, eventually
from tests.delivered import temporaries_below
from tests.folders import NewFolder
from tests.targets.place import TARGET as THERE
from tests.targets.places import DirectoryPlace, WebPlace
from tests.targets.servers import Places, places
from tests.tasks.delivery_bench import OLD, Bench, code_of
from tests.tasks.worker_parts import known

DELIVERED, FAILED, QUEUED = DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.QUEUED
LENGTHS = (0, 1, 64 << 10, MIB, MIB + 3, 3 * MIB)
SMALL = 64 << 10

Hook = Callable[[str], Awaitable[None]]


@dataclass(kw_only=True)
class There:
    """A place, the bench that delivers to it, and what was asked for: the bytes by name."""

    place: DirectoryPlace | WebPlace
    bench: Bench
    target: Target
    monkeypatch: pytest.MonkeyPatch
    data: dict[str, bytes] = field(default_factory=dict)
    alone: list[RecordId] = field(default_factory=list)  # the deliveries that made their own journey

    @property
    def runtime(self) -> Runtime:
        return self.bench.runtime

    async def open(self, *names: str, length: int = SMALL, if_exists: IfExists = IfExists.FAIL) -> list[RecordId]:
        return [await self._open(name, length, if_exists) for name in names]

    async def _open(self, name: str, length: int, if_exists: IfExists) -> RecordId:
        self.data[name] = some_bytes(length) + name.encode() if length else b""
        new = await self.bench.file_of(self.data[name])
        wanted = destination(THERE, object_name=name, if_exists=if_exists)
        return (await self.bench.deliveries.open(replace(new, destination=wanted)))[0].id

    async def probe(self) -> None:
        """Make a delivery on its own journey, which probes the target."""
        (first,) = await self.open("first.bin")
        await deliver_file(self.runtime, first)

    async def deliver(self, ids: list[RecordId]) -> list[Delivery]:
        await deliver_together(self.runtime, ids)
        return [await self.now(delivery_id) for delivery_id in ids]

    async def now(self, delivery_id: RecordId) -> Delivery:
        found = await self.bench.deliveries.get(delivery_id)
        assert found is not None
        return found

    async def put(self, name: str, data: bytes) -> None:
        """Let somebody else make the object, and wait until the server sees it."""
        path = self.place.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        await eventually(lambda: self.target.find(name, length=len(data)))

    def holds(self) -> dict[str, bytes]:
        top = self.place.directory
        files = (path for path in top.rglob("*") if path.is_file())
        return {str(path.relative_to(top)): path.read_bytes() for path in files if not path.name.startswith(".")}

    def before(self, method: str, hook: Hook) -> None:
        """Await the hook with the name, or the stage's name, before each call of the target's method."""
        call = getattr(self.target, method)

        async def hooked(first: str | Stage, *args: Any, **kwargs: Any) -> Any:
            await hook(first.name if isinstance(first, Stage) else first)
            return await call(first, *args, **kwargs)

        self.monkeypatch.setattr(self.target, method, hooked)

    def after(self, method: str, hook: Hook) -> None:
        """Await the hook with the name, or the stage's name, after each call of the target's method."""
        call = getattr(self.target, method)

        async def hooked(first: str | Stage, *args: Any, **kwargs: Any) -> Any:
            answer = await call(first, *args, **kwargs)
            await hook(first.name if isinstance(first, Stage) else first)
            return answer

        self.monkeypatch.setattr(self.target, method, hooked)


@pytest.fixture(scope="module")
def running(new_folder: NewFolder) -> Iterator[Places]:
    with new_folder("places") as folder, places(folder) as found:
        yield found


@pytest.fixture(params=["directory", "rclone", "nginx", "lighttpd"])
async def there(
    request: pytest.FixtureRequest,
    running: Places,
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[There]:
    place = running[request.param].inner()
    async with place.targets() as targets:
        bench.runtime = replace(bench.runtime, targets=known(targets))
        found = There(place=place, bench=bench, target=targets.get(THERE), monkeypatch=monkeypatch)

        async def alone(runtime: Runtime, delivery_id: RecordId) -> None:
            found.alone.append(delivery_id)
            await deliver_file(runtime, delivery_id)

        monkeypatch.setattr(together, "deliver_file", alone)
        await found.probe()
        yield found


def _names(count: int) -> list[str]:
    return [f"run/{number}.bin" for number in range(count)]


async def test_all_are_delivered_together_and_nothing_else_is_left(there: There) -> None:
    ids = [one for n, length in enumerate(LENGTHS * 2) for one in await there.open(f"f{n % 3}/{n}.bin", length=length)]
    done = await there.deliver(ids)
    assert not there.alone
    assert there.holds() == there.data
    assert not temporaries_below(there.place.directory)
    for delivery in done:
        assert delivery.receipt is not None
        said = (delivery.state, delivery.attempts, delivery.error, delivery.leftovers, delivery.sent_bytes)
        assert said == (DELIVERED, 1, None, (), delivery.length)
        told = (delivery.receipt.evidence, delivery.receipt.atomic_commit, delivery.receipt.object_name)
        assert told == (Evidence.READ_BACK, True, delivery.object_name)
        assert delivery.receipt.sha256 == delivery.sha256
        assert delivery.next_attempt_at is None


async def test_names_of_every_kind_are_delivered_together(there: There) -> None:
    names = ["a b/c d.bin", "größe/数据.bin", "100%.bin", "%41.bin", "a&b=c.bin", "😀.bin", "-x.bin", "deep/er/er.bin"]
    await there.deliver(await there.open(*names))
    assert not there.alone
    assert there.holds() == there.data


async def test_damaged_content_among_twenty_fails_alone(there: There) -> None:
    ids = await there.open(*_names(20))
    bad = await there.now(ids[7])
    content_id = (await there.bench.files.get_all([bad.file_id]))[0].content_id
    assert content_id is not None
    data, digest = there.bench.contents.chunks[content_id][0]
    there.bench.contents.chunks[content_id][0] = (b"x" + data[1:], digest)
    done = await there.deliver(ids)
    assert there.alone == [ids[7]]
    assert [one.state for one in done] == [FAILED if n == 7 else DELIVERED for n in range(20)]
    assert code_of(done[7]) == "chunk_corrupt"
    del there.data["run/7.bin"]
    assert there.holds() == there.data


async def test_taken_name_keeps_what_it_names_and_the_others_are_delivered(there: There) -> None:
    ids = await there.open(*_names(4))
    await there.put("run/2.bin", OLD)
    done = await there.deliver(ids)
    assert there.alone == [ids[2]]
    assert [one.state for one in done] == [DELIVERED, DELIVERED, FAILED, DELIVERED]
    assert code_of(done[2]) == "object_exists"
    assert there.holds() == {**there.data, "run/2.bin": OLD}
    assert not temporaries_below(there.place.directory)


async def test_name_that_is_taken_after_the_look_keeps_what_it_names(there: There) -> None:
    ids = await there.open(*_names(4))

    async def take(name: str) -> None:
        if ids[2] in name:
            await there.put("run/2.bin", OLD)

    there.before("commit_unseen", take)
    done = await there.deliver(ids)
    assert [one.state for one in done] == [DELIVERED, DELIVERED, FAILED, DELIVERED]
    assert code_of(done[2]) == "object_exists"
    assert there.holds() == {**there.data, "run/2.bin": OLD}
    assert not temporaries_below(there.place.directory)


async def test_object_that_has_the_right_bytes_already_counts_as_delivered(there: There) -> None:
    ids = await there.open(*_names(3))
    await there.put("run/1.bin", there.data["run/1.bin"])
    written: list[str] = []
    there.before("write", _noting(written))
    done = await there.deliver(ids)
    assert [one.state for one in done] == [DELIVERED] * 3
    assert len(written) == 2


async def test_lost_answer_to_a_rename_leads_to_one_copy(there: There) -> None:
    ids = await there.open(*_names(6))

    async def lose(name: str) -> None:
        if ids[3] in name:
            raise TargetUnavailable("The answer is lost.")

    there.after("commit_unseen", lose)
    written: list[str] = []
    there.before("write", _noting(written))
    done = await there.deliver(ids)
    assert [one.state for one in done] == [DELIVERED] * 6
    assert there.holds() == there.data
    assert len(written) == 6
    assert not temporaries_below(there.place.directory)


async def test_cancel_of_one_stops_it_within_a_second_and_the_others_are_delivered(there: There) -> None:
    ids = await there.open(*_names(6))

    async def stall(name: str) -> None:
        if ids[3] in name:
            await there.bench.deliveries.move(ids[3], DELIVERY_MOVES[Action.CANCEL])
            await asyncio.sleep(60)

    there.before("write", stall)
    async with asyncio.timeout(10):
        done = await there.deliver(ids)
    cancelled = DeliveryState.CANCELLED
    assert [one.state for one in done] == [cancelled if n == 3 else DELIVERED for n in range(6)]
    del there.data["run/3.bin"]
    assert there.holds() == there.data


async def test_delivery_that_another_worker_took_is_not_renamed(there: There) -> None:
    ids = await there.open(*_names(6))

    async def take_over(name: str) -> None:
        if ids[3] in name:
            there.bench.deliveries.rows[ids[3]].lease_until = None
            streaming = DeliveryState.STREAMING
            await there.bench.deliveries.claim(ids[3], holder="w", from_states=DELIVERABLE, to_state=streaming)

    there.after("write", take_over)
    done = await there.deliver(ids)
    assert [one.state for one in done] == [DeliveryState.STREAMING if n == 3 else DELIVERED for n in range(6)]
    assert "run/3.bin" not in there.holds()


async def test_nothing_leaves_once_the_leases_may_have_ended(there: There) -> None:
    ids = await there.open(*_names(3))
    hurried = replace(there.runtime.delivery_attempts, lease_seconds=0.0)
    there.bench.runtime = replace(there.runtime, delivery_attempts=hurried)
    await deliver_together(there.runtime, ids)
    assert there.holds() == {"first.bin": there.data["first.bin"]}


async def test_stopped_worker_gives_the_deliveries_back(there: There) -> None:
    ids = await there.open(*_names(6))
    stop: list[str] = []

    async def stall(name: str) -> None:
        stop.append(name)
        await asyncio.sleep(60)

    there.before("write", stall)
    there.bench.runtime = replace(there.runtime, stopping=lambda: bool(stop))
    async with asyncio.timeout(10):
        done = await there.deliver(ids)
    assert {(one.state, one.attempts, one.fruitless_attempts) for one in done} == {(QUEUED, 0, 0)}
    assert not there.alone


async def test_unexpected_error_stops_the_other_writes_before_the_leases_are_released(there: There) -> None:
    ids = await there.open(*_names(4))
    writing: set[str] = set()
    all_write, writing_at_release = asyncio.Event(), []

    async def break_one(name: str) -> None:
        writing.add(name)
        if len(writing) == len(ids):
            all_write.set()
        try:
            await all_write.wait()
            if ids[0] in name:
                raise RuntimeError("unexpected")
            await asyncio.sleep(5)
        finally:
            writing.remove(name)

    there.before("write", break_one)
    release = there.bench.deliveries.release_all

    async def note_and_release(leases: Collection[Lease]) -> None:
        writing_at_release.append(set(writing))
        there.monkeypatch.undo()
        await release(leases)

    there.monkeypatch.setattr(there.bench.deliveries, "release_all", note_and_release)
    done = await there.deliver(ids)
    assert writing_at_release == [set()]
    assert [one.state for one in done] == [DELIVERED] * 4
    assert there.holds() == there.data


async def test_deliveries_whose_contents_are_all_damaged_are_claimed_and_read_together_once(there: There) -> None:
    ids = await there.open(*_names(3))
    for file in await there.bench.files.get_all([(await there.now(one)).file_id for one in ids]):
        assert file.content_id is not None
        data, digest = there.bench.contents.chunks[file.content_id][0]
        there.bench.contents.chunks[file.content_id][0] = (b"x" + data[1:], digest)
    asked: list[str] = []
    calls = {"claim_plain": there.bench.deliveries, "read_whole": there.bench.contents}
    for name, port in calls.items():
        there.monkeypatch.setattr(port, name, _noted(name, getattr(port, name), asked))
    done = await there.deliver(ids)
    assert asked == ["claim_plain", "read_whole"]
    assert there.alone == ids
    assert [code_of(one) for one in done] == ["chunk_corrupt"] * 3


async def test_policies_that_may_replace_or_rename_make_their_own_journeys(there: There) -> None:
    plain = await there.open("a.bin")
    others = await there.open("b.bin", if_exists=IfExists.OVERWRITE) + await there.open(
        "c.bin", if_exists=IfExists.RENAME
    )
    done = await there.deliver([*plain, *others])
    assert there.alone == others
    assert [one.state for one in done] == [DELIVERED] * 3
    assert there.holds() == there.data


async def test_two_deliveries_to_one_name_make_one_object(there: There) -> None:
    first, second = await there.open("same.bin", length=3), await there.open("same.bin", length=5)
    done = await there.deliver(first + second)
    assert sorted(one.state for one in done) == [DELIVERED, FAILED]
    winner = next(one for one in done if one.state is DELIVERED)
    assert len(there.holds()["same.bin"]) == winner.length


async def test_target_that_is_away_is_reported_by_each_delivery(there: There) -> None:
    ids = await there.open(*_names(3))

    async def away(_: str) -> None:
        raise TargetUnavailable("The target is away.")

    there.before("write", away)
    done = await there.deliver(ids)
    assert [code_of(one) for one in done] == ["target_unavailable"] * 3
    assert there.holds() == {"first.bin": there.data["first.bin"]}


async def test_database_that_is_away_before_the_rename_leaves_no_object(there: There) -> None:
    ids = await there.open(*_names(3))

    async def away(_: object) -> None:
        raise DatabaseUnavailable("The database is away.")

    there.monkeypatch.setattr(there.bench.deliveries, "renew_all", away)
    done = await there.deliver(ids)
    assert [one.state for one in done] == [DELIVERED] * 3
    assert there.alone == ids
    assert there.holds() == there.data
    assert not temporaries_below(there.place.directory)


async def test_what_a_killed_worker_left_is_removed_by_the_next(there: There) -> None:
    ids = await there.open(*_names(3))

    claimed = await there.bench.deliveries.claim_plain(ids, holder="killed")
    temporaries = {one.lease: (f"run/.gridhaul-{one.id}-{one.fence}.part",) for one in claimed}
    await there.bench.deliveries.hold_names(temporaries)
    for (name,) in temporaries.values():
        await there.put(name, b"partial")
    for delivery_id in ids:
        there.bench.deliveries.rows[delivery_id].lease_until = None
    done = await there.deliver(ids)
    assert [(one.state, one.attempts) for one in done] == [(DELIVERED, 2)] * 3
    assert there.alone == ids
    for delivery_id in ids:
        await clean_up(there.runtime, delivery_id)
    assert there.holds() == there.data
    assert not temporaries_below(there.place.directory)


async def test_target_without_a_probe_is_probed_by_the_first_delivery_and_the_others_go_together(there: There) -> None:
    ids = await there.open(*_names(5))
    there.target.facts_outdated = True  # type: ignore[attr-defined]
    done = await there.deliver(ids)
    assert [one.state for one in done] == [DELIVERED] * 5
    assert there.alone == ids[:1]


@pytest.mark.parametrize("there", ["directory", "rclone"], indirect=True)
@pytest.mark.parametrize("answer_is_lost", [False, True], ids=["refused", "answer lost"])
@pytest.mark.parametrize(
    "method",
    [
        *("deliveries.claim_plain", "deliveries.hold_names", "deliveries.renew_all", "deliveries.finish_all"),
        *("deliveries.release_all", "files.get_all", "contents.read_whole"),
    ],
)
async def test_call_of_the_database_that_fails_once_leads_to_one_copy_of_each(
    there: There, method: str, answer_is_lost: bool
) -> None:
    ids = await there.open(*_names(3))
    port, _, name = method.partition(".")
    call = getattr(getattr(there.bench, port), name)
    failures = iter([DatabaseUnavailable("The database is away.")])

    async def failing(*args: Any, **kwargs: Any) -> Any:
        failure = next(failures, None)
        result = await call(*args, **kwargs) if failure is None or answer_is_lost else None
        if failure is not None:
            raise failure
        return result

    there.monkeypatch.setattr(getattr(there.bench, port), name, failing)
    if name == "release_all":
        await there.put("run/1.bin", OLD)  # so that a delivery is given back
    for _ in range(3):
        with suppress(DatabaseUnavailable):
            await deliver_together(there.runtime, ids)
        for delivery_id in ids:  # as if the leases had ended
            there.bench.deliveries.rows[delivery_id].lease_until = None
    if name == "release_all":
        there.data["run/1.bin"] = OLD
    assert there.holds() == there.data
    assert not temporaries_below(there.place.directory)
    ended = [(await there.now(delivery_id)).state for delivery_id in ids]
    assert ended == [FAILED if name == "release_all" and n == 1 else DELIVERED for n in range(3)]


@pytest.mark.parametrize("there", ["rclone"], indirect=True)
async def test_each_folder_is_listed_twice_however_many_objects_it_gets(there: There) -> None:
    await there.deliver(await there.open("run/first.bin"))
    ids = await there.open(*_names(20))
    asked: Counter[str] = Counter()
    opened = HttpSession._open

    def counted(session: HttpSession, method: str, url: str, **more: Any) -> Any:
        depth = more["headers"].get("Depth", "")
        asked[f"{method} {depth}".strip()] += 1
        return opened(session, method, url, **more)

    there.monkeypatch.setattr(HttpSession, "_open", counted)
    await there.deliver(ids)
    assert not there.alone
    tags = asked.pop("PROPFIND 0", 0)  # the tag by which a later attempt recognises the renamed object
    assert tags <= 20
    assert asked == {"PUT": 20, "GET": 20, "MOVE": 20, "PROPFIND 1": 2}


def _noted(name: str, call: Callable[..., Any], calls: list[str]) -> Callable[..., Any]:
    async def noted(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return await call(*args, **kwargs)

    return noted


def _noting(names: list[str]) -> Hook:
    async def note(name: str) -> None:
        names.append(name)

    return note

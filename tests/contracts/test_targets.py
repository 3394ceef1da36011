"""The suite of `Target`, and of its further abilities where a target offers them. All servers are real."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gridhaul.embedded.network import free_ports
from gridhaul.targets.directory import DirectoryTarget
from gridhaul.targets.http_session import Answer, HttpSession
from gridhaul.targets.oddities import lost_in
from gridhaul.targets.webdav.target import WebDavTarget
from gridhaul.transfer.attributes import has_mtime
from gridhaul.transfer.errors import (
    LeaseLost,
    NotFound,
    ObjectExists,
    OutcomeUnknown,
    TargetLocked,
    TargetRefused,
    TargetUnavailable,
)
from gridhaul.transfer.inspection import inspect, not_shown
from gridhaul.transfer.model import Evidence, FolderEntry, RemoteObject
from gridhaul.transfer.naming import MARKER
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import (
    KeepsAttributes,
    Listing,
    LooksTogether,
    Probed,
    Staging,
    Target,
    TellsRoom,
)
from tests.contracts.ports import eventually
from tests.servers.http_store import HttpStore, serving
from tests.targets.peers import (
    ATOMIC,
    KEEPING,
    KINDS,
    LISTING,
    MIB,
    NOT_LISTING,
    PASSWORD,
    SCRATCH,
    WEB,
    WEBDAV,
    Place,
    Places,
    SomeBlocks,
    StalledBlocks,
    may_write,
    places,
    staged,
    target_of,
    untold,
    write_object,
)

SEVERAL_MIB = os.urandom(5 * MIB + 3)
TEMPORARY = ".gridhaul-0123456789abcdef01234567-7.part"
NAMES = [
    *("2026/deep/run.bin", "a b/c d.bin", "größe/数据.bin", "100%.bin", "%41#1.bin", "a?b=c&d.bin", "a;b+c~'.bin"),
    *("😀.bin", "a#b?c%d;e+f&g.bin", "#?%;+&", "50/" * 50 + "run.bin", "dot.", "space ", "dot./space /x"),
]
LONGEST = "a" * 255  # lighttpd cannot PUT an object with this name, but renames one to it


@dataclass(frozen=True, kw_only=True)
class Peer:
    place: Place
    target: Target

    def on_disk(self, name: str) -> Path:
        return self.place.directory / name

    async def put(self, name: str, data: bytes) -> None:
        await write_object(self.target, name, SomeBlocks(data), length=len(data), leaving=untold)

    async def inspect(self, name: str, data: bytes) -> RemoteObject | None:
        return await inspect(self.target, name, length=len(data), sha256=sha256_of(data), checked=not_shown)

    def as_sent(self, data: bytes) -> RemoteObject:
        return RemoteObject(length=len(data), sha256=sha256_of(data), evidence=self.place.evidence)

    @property
    def commit(self) -> DirectoryTarget | WebDavTarget:
        assert isinstance(self.target, DirectoryTarget | WebDavTarget)
        return self.target


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class BlocksBroke(Exception):
    """An error that no target knows."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with places(tmp_path_factory.mktemp("places")) as found:
        yield found


@pytest.fixture(params=KINDS)
async def peer(request: pytest.FixtureRequest, running: Places, tmp_path: Path) -> AsyncIterator[Peer]:
    place = running[request.param].inner()
    async with target_of(place, tmp_path) as target:
        yield Peer(place=place, target=target)


atomic = pytest.mark.parametrize("peer", ATOMIC, indirect=True)
web = pytest.mark.parametrize("peer", WEB, indirect=True)
webdav = pytest.mark.parametrize("peer", WEBDAV, indirect=True)
keeping = pytest.mark.parametrize("peer", KEEPING, indirect=True)
listing = pytest.mark.parametrize("peer", LISTING, indirect=True)


async def test_absent_object_is_none(peer: Peer) -> None:
    for name in ("nothing", "no/such/folder/nothing"):
        assert await peer.target.find(name, length=3) is None
        assert await peer.target.read_back(name, length=3, sha256="", checked=not_shown) is None


@pytest.mark.parametrize("data", [b"", b"x", SEVERAL_MIB, 4 * SEVERAL_MIB], ids=["empty", "1 byte", "5 MiB", "20 MiB"])
async def test_what_was_put_is_found_with_its_digest(peer: Peer, data: bytes) -> None:
    await peer.put("run.bin", data)
    assert await peer.inspect("run.bin", data) == peer.as_sent(data)
    assert peer.on_disk("run.bin").read_bytes() == data


async def test_reading_that_is_cancelled_ends_at_once(peer: Peer) -> None:
    length = 40 * MIB
    await peer.put("run.bin", bytes(length))
    told = list[int]()

    def cancel(checked_bytes: int) -> None:
        told.append(checked_bytes)
        reading.cancel()

    reading = asyncio.ensure_future(peer.target.read_back("run.bin", length=length, sha256="", checked=cancel))
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert told[-1] < length


@keeping
@pytest.mark.parametrize("data", [b"", SEVERAL_MIB], ids=["empty", "5 MiB"])
async def test_what_was_put_with_attributes_has_its_bytes_and_the_attributes(peer: Peer, data: bytes) -> None:
    target, source = peer.target, Attributes(mtime_ns=1_600_000_000_123_456_789, mode=0o640)
    assert isinstance(target, KeepsAttributes)
    assert await target.attributes(TEMPORARY) is None
    await write_object(target, TEMPORARY, SomeBlocks(data), length=len(data), leaving=untold, attributes=source)
    await peer.commit.commit(staged(TEMPORARY, "run.bin"))
    assert await peer.inspect("run.bin", data) == peer.as_sent(data)
    assert has_mtime(await target.attributes("run.bin"), source)


@keeping
async def test_put_without_attributes_gives_the_time_of_writing(peer: Peer) -> None:
    assert isinstance(peer.target, KeepsAttributes)
    await peer.put("run.bin", b"data")
    found = await peer.target.attributes("run.bin")
    assert found is not None
    assert abs(found.mtime_ns - time.time_ns()) < 60 * 10**9


@pytest.mark.parametrize("length", [0, 1, 20 * MIB + 15])
async def test_reading_back_tells_how_far_it_has_come(peer: Peer, length: int) -> None:
    data, told = bytes(length), list[int]()
    await peer.put("run.bin", data)
    found = await peer.target.read_back("run.bin", length=length, sha256=sha256_of(data), checked=told.append)
    assert found is not None
    assert (found.length, found.sha256) == (length, sha256_of(data))
    assert told == sorted(set(told))
    assert [length] == told[-1:] if length else told in ([], [0])
    assert len(told) > 1 or length < MIB


@pytest.mark.parametrize("name", NAMES)
async def test_name_is_kept_as_it_is(peer: Peer, name: str) -> None:
    if lost_in(name, peer.place.lost):
        with pytest.raises(TargetRefused, match="choose another name"):
            await peer.inspect(name, b"data")
        return
    await peer.put(name, b"data")
    assert await peer.inspect(name, b"data") == peer.as_sent(b"data")
    assert peer.on_disk(name).read_bytes() == b"data"


@pytest.mark.parametrize("name", ["../out.bin", "a/../../out.bin", "a//b", "/out.bin"])
async def test_name_that_could_lead_out_is_refused(peer: Peer, name: str) -> None:
    with pytest.raises(TargetRefused):
        await peer.put(name, b"data")
    with pytest.raises(TargetRefused):
        await peer.target.find(name, length=4)


@web
async def test_put_again_replaces(peer: Peer) -> None:
    await peer.put("run.bin", b"longer than the next")
    await peer.put("run.bin", b"next")
    assert await peer.inspect("run.bin", b"next") == peer.as_sent(b"next")


async def test_object_of_another_length_is_not_read(peer: Peer) -> None:
    await peer.put("run.bin", SEVERAL_MIB)
    found = await peer.inspect("run.bin", SEVERAL_MIB[:-1])
    assert found is not None
    assert found.length == len(SEVERAL_MIB)
    if peer.place.evidence is Evidence.READ_BACK:
        assert (found.sha256, found.evidence) == ("", Evidence.SIZE)


async def test_other_bytes_of_the_same_length_have_another_digest(peer: Peer) -> None:
    await peer.put("run.bin", b"these")
    found = await peer.inspect("run.bin", b"those")
    assert found == peer.as_sent(b"these") != peer.as_sent(b"those")


@pytest.mark.parametrize("sent", [0, 4 * MIB])
@pytest.mark.parametrize("failure", [BlocksBroke("x"), httpx2.ReadError("of the caller"), OSError(28, "of the caller")])
async def test_error_of_the_blocks_passes_through_unchanged(peer: Peer, failure: Exception, sent: int) -> None:
    with pytest.raises(type(failure)) as caught:
        await write_object(
            peer.target,
            "broken",
            SomeBlocks(SEVERAL_MIB[:sent], failure=failure),
            length=len(SEVERAL_MIB),
            leaving=untold,
        )
    assert caught.value is failure
    assert caught.value.__cause__ is None
    await peer.put("after.bin", b"usable")
    assert await peer.inspect("after.bin", b"usable") == peer.as_sent(b"usable")


@pytest.mark.parametrize(
    ("told", "failure"),
    [(0, LeaseLost("x")), (1, BlocksBroke("x")), (1, httpx2.ReadError("of the caller")), (3, LeaseLost("x"))],
)
async def test_nothing_leaves_that_must_not_and_the_error_passes_through(
    peer: Peer, told: int, failure: Exception
) -> None:
    left: list[int] = []

    def leaving(length: int) -> None:
        if len(left) == told:
            raise failure
        left.append(length)

    await peer.put("run.bin", b"was there")
    with pytest.raises(type(failure)) as caught:
        await write_object(peer.target, "run.bin", SomeBlocks(SEVERAL_MIB), length=len(SEVERAL_MIB), leaving=leaving)
    assert caught.value is failure
    assert left == [0, MIB, MIB][:told]
    await peer.put("after.bin", b"usable")
    await asyncio.sleep(0.05)  # the server may still be writing what it received, and does not tell when it has
    there = peer.on_disk("run.bin").read_bytes() if peer.on_disk("run.bin").exists() else b""
    if there != b"was there":  # some servers replace the object only once all has arrived
        assert told > 0
        assert len(there) <= sum(left)
        assert SEVERAL_MIB.startswith(there)


async def test_everything_that_leaves_is_told(peer: Peer) -> None:
    left: list[int] = []
    await write_object(peer.target, "run.bin", SomeBlocks(SEVERAL_MIB), length=len(SEVERAL_MIB), leaving=left.append)
    assert left == [0, *[MIB] * 5, 3]
    await write_object(peer.target, "empty.bin", SomeBlocks(b""), length=0, leaving=left.append)
    assert left[7:] == [0]


@pytest.mark.alone
async def test_cancelled_put_ends_as_cancelled(peer: Peer) -> None:
    blocks = StalledBlocks(SEVERAL_MIB[:MIB])
    sending = asyncio.create_task(write_object(peer.target, "stalled", blocks, length=2 * MIB, leaving=untold))
    assert await asyncio.to_thread(blocks.begun.wait, 10)
    cancelled_at = time.monotonic()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert blocks.stopped.is_set()
    assert time.monotonic() - cancelled_at < 1


async def test_fewer_blocks_than_promised_do_not_pass_for_an_object(peer: Peer) -> None:
    with pytest.raises(TargetUnavailable):
        await write_object(peer.target, "short", SomeBlocks(b"123"), length=4, leaving=untold)


async def test_remove_is_idempotent(peer: Peer) -> None:
    await peer.put("folder/run.bin", b"data")
    await peer.target.remove("folder/run.bin")
    await peer.target.remove("folder/run.bin")
    await peer.target.remove("nowhere/run.bin")
    assert await peer.inspect("folder/run.bin", b"data") is None


async def test_location_names_the_object_and_no_credentials(peer: Peer) -> None:
    location = peer.target.location("2026/run.bin")
    assert location.endswith("/2026/run.bin")
    for text in (location, repr(peer.target), str(vars(peer.target))):
        assert PASSWORD not in text


def test_only_some_targets_commit_atomically(peer: Peer) -> None:
    assert isinstance(peer.target, Staging) == (peer.place.kind != "http")


@atomic
@pytest.mark.parametrize("folder", ["", "2026/deep/"])
async def test_commit_gives_the_object_its_name(peer: Peer, folder: str) -> None:
    await peer.put(folder + TEMPORARY, SEVERAL_MIB)
    await peer.commit.commit(staged(folder + TEMPORARY, f"{folder}run.bin"))
    assert await peer.inspect(f"{folder}run.bin", SEVERAL_MIB) == peer.as_sent(SEVERAL_MIB)
    assert await peer.inspect(folder + TEMPORARY, SEVERAL_MIB) is None


@atomic
@pytest.mark.parametrize("name", [*NAMES, LONGEST])
async def test_commit_keeps_the_name(peer: Peer, name: str) -> None:
    await peer.put(TEMPORARY, b"data")
    if lost_in(name, peer.place.lost):
        with pytest.raises(TargetRefused, match="choose another name"):
            await peer.commit.commit(staged(TEMPORARY, name))
        return
    await peer.commit.commit(staged(TEMPORARY, name))
    assert await peer.inspect(name, b"data") == peer.as_sent(b"data")
    assert peer.on_disk(name).read_bytes() == b"data"


@atomic
async def test_commit_into_another_folder(peer: Peer) -> None:
    await peer.put(TEMPORARY, b"data")
    await peer.commit.commit(staged(TEMPORARY, "other/run.bin"))
    assert peer.on_disk("other/run.bin").read_bytes() == b"data"


@atomic
async def test_commit_onto_a_taken_name_leaves_what_is_there(peer: Peer) -> None:
    await peer.put("run.bin", b"theirs")
    await peer.put(TEMPORARY, b"ours")
    with pytest.raises(ObjectExists):
        await peer.commit.commit(staged(TEMPORARY, "run.bin"))
    assert peer.on_disk("run.bin").read_bytes() == b"theirs"
    assert peer.on_disk(TEMPORARY).read_bytes() == b"ours"


@atomic
@pytest.mark.parametrize("there", [b"theirs", None], ids=["over an object", "to a free name"])
async def test_replace(peer: Peer, there: bytes | None) -> None:
    if there is not None:
        await peer.put("run.bin", there)
    await peer.put(TEMPORARY, b"ours")
    await peer.commit.replace(staged(TEMPORARY, "run.bin"))
    assert peer.on_disk("run.bin").read_bytes() == b"ours"
    assert await peer.inspect(TEMPORARY, b"ours") is None


@atomic
async def test_without_the_temporary_object_nothing_happens(peer: Peer) -> None:
    await peer.put("run.bin", b"theirs")
    with pytest.raises(NotFound):
        await peer.commit.commit(staged(TEMPORARY, "free.bin"))
    with pytest.raises(NotFound):
        await peer.commit.replace(staged(TEMPORARY, "run.bin"))
    with pytest.raises(NotFound):
        await peer.commit.replace(staged(f"nowhere/{TEMPORARY}", "run.bin"))
    assert peer.on_disk("run.bin").read_bytes() == b"theirs"
    assert await peer.inspect("free.bin", b"") is None


@atomic
async def test_folder_under_the_name_is_left_alone(peer: Peer) -> None:
    await peer.put("2026/run.bin", b"theirs")
    await peer.put(TEMPORARY, b"ours")
    with pytest.raises(ObjectExists):
        await peer.commit.commit(staged(TEMPORARY, "2026"))
    for change in (peer.commit.replace(staged(TEMPORARY, "2026")), peer.target.remove("2026")):
        with pytest.raises(TargetRefused):
            await change
    assert peer.on_disk("2026/run.bin").read_bytes() == b"theirs"


@atomic
async def test_put_that_breaks_off_does_not_touch_the_final_name(peer: Peer) -> None:
    await peer.put("run.bin", b"theirs")
    with pytest.raises(BlocksBroke):
        await write_object(
            peer.target, TEMPORARY, SomeBlocks(SEVERAL_MIB, failure=BlocksBroke()), length=9 * MIB, leaving=untold
        )
    assert peer.on_disk("run.bin").read_bytes() == b"theirs"

    async def is_removed() -> bool:
        try:
            await peer.target.remove(TEMPORARY)
        except TargetLocked:  # the server has not yet noticed that the put broke off
            return False
        return True

    await eventually(is_removed)
    assert await peer.inspect(TEMPORARY, b"") is None


@atomic
async def test_folder_removed_meanwhile_is_made_again(peer: Peer) -> None:
    await peer.put("2026/run.bin", b"data")
    peer.on_disk("2026/run.bin").unlink()
    peer.on_disk("2026").rmdir()
    try:
        await peer.put("2026/run.bin", b"data")
    except TargetUnavailable:  # a target may make the folder only at the next attempt
        await peer.put("2026/run.bin", b"data")
    assert peer.on_disk("2026/run.bin").read_bytes() == b"data"


@atomic
async def test_of_many_commits_to_one_name_one_wins(peer: Peer) -> None:
    if peer.place.kind == "webdav":
        pytest.skip("servers look and rename in two steps; the claim on the name keeps deliveries apart")
    for n in range(8):
        await peer.put(f"{n}.part", str(n).encode())
    outcomes = await asyncio.gather(
        *(peer.commit.commit(staged(f"{n}.part", "run.bin")) for n in range(8)), return_exceptions=True
    )
    (winner,) = [n for n, outcome in enumerate(outcomes) if outcome is None]
    assert sum(isinstance(outcome, ObjectExists) for outcome in outcomes) == 7
    assert peer.on_disk("run.bin").read_bytes() == str(winner).encode()


async def test_place_that_is_down_is_unavailable(peer: Peer, tmp_path: Path) -> None:
    gone = replace(
        peer.place, directory=tmp_path / "gone", url=peer.place.url and f"http://127.0.0.1:{free_ports(1)[0]}"
    )
    async with target_of(gone, tmp_path) as target:
        with pytest.raises(TargetUnavailable):
            await target.find("run.bin", length=1)
        with pytest.raises(TargetUnavailable):
            await write_object(target, "run.bin", SomeBlocks(SEVERAL_MIB), length=len(SEVERAL_MIB), leaving=untold)
        with pytest.raises(TargetUnavailable):
            await target.remove("run.bin")


@web
async def test_wrong_password_is_refused(peer: Peer, tmp_path: Path) -> None:
    async with target_of(replace(peer.place, password="wr0ng-one"), tmp_path) as target:
        for call in (
            target.find("run.bin", length=1),
            write_object(target, "run.bin", SomeBlocks(SEVERAL_MIB), length=len(SEVERAL_MIB), leaving=untold),
            target.remove("run.bin"),
        ):
            with pytest.raises(TargetRefused) as caught:
                await call
            assert "wr0ng-one" not in caught.value.detail
    assert not peer.on_disk("run.bin").exists()


@web
async def test_redirect_is_not_followed(peer: Peer, tmp_path: Path) -> None:
    elsewhere, redirecting = HttpStore(directory=tmp_path), HttpStore(directory=tmp_path)
    with serving(elsewhere) as other, serving(redirecting) as url:
        redirecting.answers = [(302, {"Location": f"{other}/stolen"})] * 20
        async with target_of(replace(peer.place, url=url), tmp_path) as target:
            for call in (
                target.find("run.bin", length=1),
                write_object(target, "run.bin", SomeBlocks(SEVERAL_MIB), length=len(SEVERAL_MIB), leaving=untold),
                target.remove("run.bin"),
            ):
                with pytest.raises(TargetRefused):
                    await call
    assert elsewhere.requests == []
    assert redirecting.requests


@listing
@pytest.mark.parametrize("folder", ["", "2026/a b", "größe%41"])
async def test_names_of_a_folder_are_told(peer: Peer, folder: str) -> None:
    target = peer.target
    assert isinstance(target, Listing)
    assert [name async for name in target.names(folder) if name != MARKER] == []
    names = ["a b.bin", "größe#%41?.bin", TEMPORARY, *(f"{number:03}.bin" for number in range(40))]
    for name in names:
        await peer.put(f"{folder}/{name}" if folder else name, b"x")
    await peer.put(f"{folder}/below/deeper.bin" if folder else "below/deeper.bin", b"x")
    told = [name async for name in target.names(folder) if name != MARKER]
    expected = [name for name in (*names, "below") if peer.place.lists_hidden or not name.startswith(".")]
    assert sorted(told) == sorted(expected)


@listing
async def test_a_listing_that_is_given_up_can_be_begun_again(peer: Peer) -> None:
    target = peer.target
    assert isinstance(target, Listing)
    for number in range(5):
        await peer.put(f"{number}.bin", b"x")
    async with aclosing(target.names("")) as names:
        await anext(names)
    assert len([name async for name in target.names("") if name != MARKER]) == 5


@listing
@pytest.mark.parametrize("folder", ["", "2026/a b", "größe%41"])
async def test_entries_of_a_folder_are_told_with_their_lengths(peer: Peer, folder: str) -> None:
    target = peer.target
    assert isinstance(target, LooksTogether)
    beginning = f"{folder}/" if folder else ""
    lengths = {"a b.bin": 0, "größe#%41?.bin": 1, **{f"{number:03}.bin": number for number in range(40)}}
    for name, length in lengths.items():
        await peer.put(f"{beginning}{name}", b"x" * length)
    await peer.put(f"{beginning}below/deeper.bin", b"x")
    found = dict(await target.entries(folder, at_most=100) or {})
    found.pop(MARKER, None)
    expected = {name: FolderEntry(is_object=True, length=length) for name, length in lengths.items()}
    assert found == {**expected, "below": FolderEntry(is_object=False)}


@listing
async def test_folder_that_does_not_exist_has_no_entries(peer: Peer) -> None:
    assert isinstance(peer.target, LooksTogether)
    assert await peer.target.entries("no/such/folder", at_most=5) == {}


@listing
async def test_entries_of_a_large_folder_are_not_told(peer: Peer) -> None:
    assert isinstance(peer.target, LooksTogether)
    for number in range(5):
        await peer.put(f"run/{number}.bin", b"x")
    assert len(await peer.target.entries("run", at_most=5) or {}) == 5
    assert await peer.target.entries("run", at_most=4) is None


@pytest.mark.parametrize("peer", NOT_LISTING, indirect=True)
async def test_entries_are_unknown_at_a_server_that_does_not_tell_them(peer: Peer) -> None:
    assert isinstance(peer.target, LooksTogether)
    await peer.put("run.bin", b"x")
    assert await peer.target.entries("", at_most=5) is None


@atomic
async def test_commit_without_a_look_gives_the_object_its_name_unless_it_is_taken(peer: Peer) -> None:
    target = peer.target
    assert isinstance(target, LooksTogether)
    await peer.put(TEMPORARY, b"new")
    await target.commit_unseen(staged(TEMPORARY, "run.bin"))
    assert peer.on_disk("run.bin").read_bytes() == b"new"
    assert not peer.on_disk(TEMPORARY).exists()
    await peer.put(TEMPORARY, b"other")
    with pytest.raises(ObjectExists):
        await target.commit_unseen(staged(TEMPORARY, "run.bin"))
    assert peer.on_disk("run.bin").read_bytes() == b"new"


@webdav
async def test_folder_is_made_once_for_objects_that_are_written_at_once(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()
    request = HttpSession.request

    async def noted(session: HttpSession, method: str, url: str, **more: Any) -> Answer:
        asked.append(method)
        return await request(session, method, url, **more)

    monkeypatch.setattr(HttpSession, "request", noted)
    await asyncio.gather(*(peer.put(f"run/{number}.bin", b"x") for number in range(8)))
    assert asked.count("MKCOL") == 1


@web
def test_only_some_targets_list(peer: Peer) -> None:
    assert isinstance(peer.target, Listing) == isinstance(peer.target, WebDavTarget)


@pytest.mark.parametrize("peer", NOT_LISTING, indirect=True)
async def test_names_are_unknown_at_a_server_that_does_not_tell_them(peer: Peer) -> None:
    target = peer.target
    assert isinstance(target, Listing)
    await peer.put("run.bin", b"x")
    with pytest.raises(OutcomeUnknown):
        _ = [name async for name in target.names("")]


@webdav
async def test_probe_sees_what_the_server_can_and_leaves_nothing(peer: Peer) -> None:
    target = peer.target
    assert isinstance(target, Probed)
    facts = await target.probe(SCRATCH, may_write)
    assert (facts["propfind"], frozenset(facts["lost"])) == (peer.place.lists, peer.place.lost)
    assert facts["destination"] == peer.place.url
    assert not list(peer.place.directory.iterdir())


async def test_room_that_a_target_tells_is_that_of_its_disk(peer: Peer) -> None:
    target = peer.target
    assert isinstance(target, TellsRoom) == isinstance(target, DirectoryTarget | WebDavTarget)
    free = await target.free_bytes() if isinstance(target, TellsRoom) else None
    assert free is not None or not isinstance(target, DirectoryTarget)
    if free is not None:
        space = os.statvfs(peer.place.directory)  # others write to the disk meanwhile
        assert abs(free - space.f_bavail * space.f_frsize) < space.f_blocks * space.f_frsize / 10

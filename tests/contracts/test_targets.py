"""The suite of `Target`, for every kind of target and every server. All servers are real."""

import asyncio
import os
import time
import unicodedata
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gridhaul.targets.oddities import lost_in
from gridhaul.transfer.attributes import has_mtime
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.errors import LeaseLost, ObjectExists, TargetRefused, TargetUnavailable
from gridhaul.transfer.inspection import not_shown
from gridhaul.transfer.model import Evidence, RemoteObject
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import KeepsAttributes, Probed, Staging, TellsRoom
from tests.servers.http_store import HttpStore, serving
from tests.targets.blocks import MIB, SomeBlocks, StalledBlocks, untold
from tests.targets.deliveries import SCRATCH, deliver, holding, look, may_write, send, written
from tests.targets.outside import Folder
from tests.targets.place import Place
from tests.targets.places import WRONG
from tests.targets.servers import DIRECTORY, HTTP, S3, SERVERS, SFTP, STAGED, WEBDAV, Places, at

SEVERAL_MIB = os.urandom(5 * MIB + 3)
NAMES = [
    *("2026/deep/run.bin", "a b/c d.bin", "größe/数据 😀.bin", "100%.bin", "%41#1.bin", "a?b=c&d.bin", "a;b+c~'.bin"),
    *("a b+c%20&;=?#", "#?%;+&", "50/" * 50 + "run.bin", "dot.", "space ", "dot./space /x", "...", "a..b"),
    *('it\'s "here".bin', "-rf", "~", "*<>|", "$(id)`id`", "a" * 255, "/".join(["x" * 200] * 4)),
]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A place, and a target that writes there."""

    place: Place
    target: Any

    async def deliver(self, name: str, data: bytes) -> None:
        await deliver(self.target, name, data)

    async def look(self, name: str, data: bytes) -> RemoteObject | None:
        return await look(self.target, name, data)

    def holding(self, data: bytes) -> RemoteObject:
        return holding(data, self.place.traits.evidence)

    async def send(self, name: str, blocks: SomeBlocks, length: int, leaving: Callable[[int], None] = untold) -> None:
        await send(self.target, name, blocks, length=length, leaving=leaving)


class BlocksBroke(Exception):
    """An error that no target knows."""


@pytest.fixture(params=SERVERS)
async def peer(request: pytest.FixtureRequest, running: Places) -> AsyncIterator[Peer]:
    place = running[request.param].inner()
    async with place.target() as target:
        yield Peer(place=place, target=target)


guarded = at([name for name, server in SERVERS.items() if server.traits.checks_credentials])
over_http = at(WEBDAV | HTTP | S3)
keeping = at(DIRECTORY | SFTP)


async def test_absent_object_is_none(peer: Peer) -> None:
    for name in ("nothing", "no/such/folder/nothing"):
        assert await peer.target.find(name, length=3) is None
        assert await peer.target.read_back(name, length=3, sha256="", checked=not_shown) is None


@pytest.mark.parametrize("data", [b"", b"x", SEVERAL_MIB, 4 * SEVERAL_MIB], ids=["empty", "1 byte", "5 MiB", "20 MiB"])
async def test_delivered_object_is_found_with_its_digest(peer: Peer, data: bytes) -> None:
    await peer.deliver("run.bin", data)
    assert await peer.look("run.bin", data) == peer.holding(data)
    assert peer.place.outside.read("run.bin") == data
    assert peer.place.outside.names() == {"run.bin"}


async def test_reading_that_is_cancelled_ends_at_once(peer: Peer) -> None:
    length = 40 * MIB
    await peer.deliver("run.bin", bytes(length))
    told = list[int]()

    def cancel(checked_bytes: int) -> None:
        told.append(checked_bytes)
        reading.cancel()

    reading = asyncio.ensure_future(peer.target.read_back("run.bin", length=length, sha256="", checked=cancel))
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert told[-1] < length
    assert await peer.target.find("run.bin", length=length) is not None


@pytest.mark.parametrize("length", [0, 1, 20 * MIB + 15])
async def test_reading_back_tells_how_far_it_has_come(peer: Peer, length: int) -> None:
    data, told = bytes(length), list[int]()
    await peer.deliver("run.bin", data)
    found = await peer.target.read_back("run.bin", length=length, sha256=content_sha256(data), checked=told.append)
    assert found == holding(data)
    assert told == sorted(set(told))
    assert [length] == told[-1:] if length else told in ([], [0])
    assert len(told) > 1 or length < MIB


@keeping
@pytest.mark.parametrize("data", [b"", SEVERAL_MIB], ids=["empty", "5 MiB"])
async def test_object_with_attributes_has_its_bytes_and_the_attributes(peer: Peer, data: bytes) -> None:
    target, source = peer.target, Attributes(mtime_ns=1_600_000_000_123_456_789, mode=0o640)
    assert isinstance(target, KeepsAttributes)
    assert await target.attributes("run.bin") is None
    await peer.target.commit(await written(peer.target, "run.bin", data, attributes=source))
    assert await peer.look("run.bin", data) == peer.holding(data)
    assert has_mtime(await target.attributes("run.bin"), source)


@keeping
async def test_object_without_attributes_has_the_time_of_writing(peer: Peer) -> None:
    assert isinstance(peer.target, KeepsAttributes)
    await peer.deliver("run.bin", b"data")
    found = await peer.target.attributes("run.bin")
    assert found is not None
    assert abs(found.mtime_ns - time.time_ns()) < 60 * 10**9


@pytest.mark.parametrize("name", NAMES)
async def test_name_is_kept_as_it_is(peer: Peer, name: str) -> None:
    if lost_in(name, peer.place.traits.lost):
        for call in (peer.look(name, b"data"), peer.deliver(name, b"data")):
            with pytest.raises(TargetRefused, match="choose another name"):
                await call
        return
    await peer.deliver(name, b"data")
    assert await peer.look(name, b"data") == peer.holding(b"data")
    assert peer.place.outside.read(name) == b"data"
    assert peer.place.outside.names() == {name}


async def test_names_that_look_alike_are_two_names(peer: Peer) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.bin") for form in ("NFC", "NFD"))
    await peer.deliver(composed, b"composed")
    if peer.place.traits.tells_forms_apart:
        await peer.deliver(decomposed, b"decomposed")
        assert await peer.look(decomposed, b"decomposed") == peer.holding(b"decomposed")
    else:
        with pytest.raises(ObjectExists):
            await peer.deliver(decomposed, b"decomposed")
    assert await peer.look(composed, b"composed") == peer.holding(b"composed")
    assert peer.place.outside.read(composed) == b"composed"


@pytest.mark.parametrize("name", ["../out.bin", "a/../../out.bin", "a//b", "/out.bin", "a/./b"])
async def test_name_that_could_lead_out_is_refused(peer: Peer, name: str) -> None:
    for call in (peer.deliver(name, b"data"), peer.target.find(name, length=4), peer.target.remove(name)):
        with pytest.raises(TargetRefused):
            await call


@at(HTTP)
async def test_put_again_replaces(peer: Peer) -> None:
    await peer.deliver("run.bin", b"longer than the next")
    await peer.deliver("run.bin", b"next")
    assert await peer.look("run.bin", b"next") == peer.holding(b"next")


async def test_object_of_another_length_is_not_read(peer: Peer) -> None:
    await peer.deliver("run.bin", SEVERAL_MIB)
    found = await peer.look("run.bin", SEVERAL_MIB[:-1])
    assert found is not None
    assert found.length == len(SEVERAL_MIB)
    if peer.place.traits.evidence is Evidence.READ_BACK:
        assert (found.sha256, found.evidence) == ("", Evidence.SIZE)


async def test_longer_object_is_seen_to_be_longer(peer: Peer) -> None:
    await peer.deliver("run.bin", SEVERAL_MIB)
    found = await peer.target.read_back("run.bin", length=MIB, sha256="", checked=not_shown)
    assert found is not None
    assert found == holding(SEVERAL_MIB) or (found.length > MIB and found.sha256 == "")


async def test_shorter_object_is_read_to_its_end(peer: Peer) -> None:
    await peer.deliver("run.bin", SEVERAL_MIB)
    found = await peer.target.read_back("run.bin", length=9 * MIB, sha256="", checked=not_shown)
    assert found == holding(SEVERAL_MIB)


async def test_other_bytes_of_the_same_length_have_another_digest(peer: Peer) -> None:
    await peer.deliver("run.bin", b"these")
    assert await peer.look("run.bin", b"those") == peer.holding(b"these") != peer.holding(b"those")


@pytest.mark.parametrize("sent", [0, 4 * MIB])
@pytest.mark.parametrize("failure", [BlocksBroke("x"), httpx2.ReadError("of the caller"), OSError(28, "of the caller")])
async def test_error_of_the_blocks_passes_through_unchanged(peer: Peer, failure: Exception, sent: int) -> None:
    with pytest.raises(type(failure)) as caught:
        await peer.send("broken", SomeBlocks(SEVERAL_MIB[:sent], failure=failure), len(SEVERAL_MIB))
    assert caught.value is failure
    assert caught.value.__cause__ is None
    await peer.deliver("after.bin", b"usable")
    assert await peer.look("after.bin", b"usable") == peer.holding(b"usable")


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

    await peer.deliver("run.bin", b"was there")
    with pytest.raises(type(failure)) as caught:
        await peer.send("run.bin", SomeBlocks(SEVERAL_MIB), len(SEVERAL_MIB), leaving)
    assert caught.value is failure
    assert left == [0, MIB, MIB][:told]
    await peer.deliver("after.bin", b"usable")
    await asyncio.sleep(0.05)  # the server may still be writing what it received, and does not tell when it has
    outside = peer.place.outside
    arrived = {name: outside.read(name) or b"" for name in outside.names() - {"after.bin"}}
    if isinstance(peer.target, Staging):
        assert arrived.pop("run.bin") == b"was there"
    for data in arrived.values():
        assert data == b"was there" or (SEVERAL_MIB.startswith(data) and len(data) <= sum(left) and told > 0)


async def test_everything_that_leaves_is_told(peer: Peer) -> None:
    left: list[int] = []
    await peer.send("run.bin", SomeBlocks(SEVERAL_MIB), len(SEVERAL_MIB), left.append)
    assert left == [0, *[MIB] * 5, 3]
    await peer.send("empty.bin", SomeBlocks(b""), 0, left.append)
    assert sum(left[7:]) == 0


@pytest.mark.alone
async def test_cancelled_sending_ends_as_cancelled(peer: Peer) -> None:
    blocks = StalledBlocks(SEVERAL_MIB[:MIB])
    sending = asyncio.create_task(peer.send("stalled", blocks, 2 * MIB))
    assert await asyncio.to_thread(blocks.begun.wait, 10)
    cancelled_at = time.monotonic()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert blocks.stopped.is_set()
    assert time.monotonic() - cancelled_at < 1
    await peer.deliver("after.bin", b"usable")


async def test_fewer_blocks_than_promised_do_not_pass_for_an_object(peer: Peer) -> None:
    with pytest.raises(TargetUnavailable):
        await peer.send("short", SomeBlocks(b"123"), 4)


async def test_remove_is_idempotent(peer: Peer) -> None:
    await peer.deliver("folder/run.bin", b"data")
    await peer.target.remove("folder/run.bin")
    await peer.target.remove("folder/run.bin")
    await peer.target.remove("nowhere/run.bin")
    assert await peer.look("folder/run.bin", b"data") is None
    assert peer.place.outside.names() == set()


async def test_location_names_the_object_and_no_credentials(peer: Peer) -> None:
    location = peer.target.location("2026/run.bin")
    assert location.endswith("/2026/run.bin")
    for text in (location, repr(peer.target), str(vars(peer.target))):
        assert not any(secret in text for secret in peer.place.secrets)


def test_only_plain_http_has_no_stages(peer: Peer) -> None:
    assert isinstance(peer.target, Staging) == isinstance(peer.target, Probed)
    assert isinstance(peer.target, Staging) == (peer.place.settings()["kind"] != "http")


async def test_place_that_is_down_is_unavailable(peer: Peer) -> None:
    async with peer.place.target(**peer.place.down) as target:
        for call in (
            target.find("run.bin", length=1),
            send(target, "run.bin", SomeBlocks(SEVERAL_MIB), length=len(SEVERAL_MIB), leaving=untold),
            target.remove("run.bin"),
        ):
            with pytest.raises(TargetUnavailable):
                await call


@guarded
async def test_wrong_credentials_are_refused(peer: Peer) -> None:
    async with peer.place.target(**peer.place.wrong) as target:
        for call in (
            target.find("run.bin", length=1),
            send(target, "run.bin", SomeBlocks(SEVERAL_MIB), length=len(SEVERAL_MIB), leaving=untold),
            target.remove("run.bin"),
        ):
            with pytest.raises(TargetRefused) as caught:
                await call
            assert WRONG not in caught.value.detail
    assert peer.place.outside.names() == set()


@over_http
async def test_redirect_is_not_followed(peer: Peer, tmp_path: Path) -> None:
    elsewhere, redirecting = HttpStore(directory=tmp_path), HttpStore(directory=tmp_path)
    with serving(elsewhere) as other, serving(redirecting) as url:
        redirecting.answers = [(302, {"Location": f"{other}/stolen"})] * 20
        async with peer.place.target(**peer.place.elsewhere(url)) as target:
            for call in (
                target.find("run.bin", length=1),
                send(target, "run.bin", SomeBlocks(SEVERAL_MIB), length=len(SEVERAL_MIB), leaving=untold),
                target.remove("run.bin"),
            ):
                with pytest.raises(TargetRefused):
                    await call
    assert elsewhere.requests == []
    assert redirecting.requests


@at(STAGED)
async def test_probe_asks_before_it_writes_and_leaves_nothing(peer: Peer) -> None:
    seen = list[set[str]]()

    async def before_writing() -> None:
        seen.append(peer.place.outside.names())

    async with peer.place.unprobed() as target:
        assert target.rely_on(await target.probe(SCRATCH, before_writing))
    assert seen == [set()]
    assert peer.place.outside.names() == set()


@at(WEBDAV)
async def test_probe_sees_what_the_server_can(peer: Peer) -> None:
    facts = await peer.target.probe(SCRATCH, may_write)
    assert (facts["propfind"], frozenset(facts["lost"])) == (peer.place.traits.lists, peer.place.traits.lost)
    assert facts["destination"] == peer.place.settings()["url"]


async def test_room_that_a_target_tells_is_that_of_its_disk(peer: Peer) -> None:
    target, outside = peer.target, peer.place.outside
    assert isinstance(target, TellsRoom) == peer.place.traits.tells_room
    free = await target.free_bytes() if isinstance(target, TellsRoom) else None
    assert (free is not None) == target.abilities.free_space
    if free is not None:
        assert isinstance(outside, Folder)
        space = os.statvfs(outside.top)  # others write to the disk meanwhile
        assert abs(free - space.f_bavail * space.f_frsize) < space.f_blocks * space.f_frsize / 10

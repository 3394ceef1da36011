"""The suite of `Listing` and `LooksTogether`, for every kind of target and every server. All servers are real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest

from gridhaul.targets.http_session import Answer, HttpSession
from gridhaul.transfer.errors import ObjectExists, OutcomeUnknown
from gridhaul.transfer.model import FolderEntry
from gridhaul.transfer.naming import MARKER
from gridhaul.transfer.ports.targets import Listing, LooksTogether
from tests.contracts.ports import eventually
from tests.targets.deliveries import PART, deliver, written
from tests.targets.place import Place
from tests.targets.servers import DIRECTORY, SERVERS, STAGED, WEBDAV, Places, at

ODD = "größe#%41&.bin"
FOLDERS = ("", "2026/a b", "größe%41")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A place, and a target that writes there."""

    place: Place
    target: Any

    async def deliver(self, *names: str, data: bytes = b"x") -> None:
        for name in names:
            await deliver(self.target, name, data)

    async def names(self, folder: str) -> list[str]:
        return [name async for name in self.target.names(folder) if name != MARKER]


@pytest.fixture(params=SERVERS)
async def peer(request: pytest.FixtureRequest, running: Places) -> AsyncIterator[Peer]:
    place = running[request.param].inner()
    async with place.target() as target:
        yield Peer(place=place, target=target)


listing = at([name for name, server in STAGED.items() if server.traits.lists])
silent = at([name for name, server in STAGED.items() if not server.traits.lists])
together = at([name for name, server in (DIRECTORY | WEBDAV).items() if server.traits.lists])


def test_all_targets_with_stages_list_folders(peer: Peer) -> None:
    assert isinstance(peer.target, Listing) == (peer.place.settings()["kind"] != "http")


@listing
@pytest.mark.parametrize("folder", FOLDERS)
async def test_names_of_a_folder_are_told(peer: Peer, folder: str) -> None:
    assert await peer.names(folder) == []
    beginning = f"{folder}/" if folder else ""
    names = [ODD, "a b.bin", PART, *(f"{number:03}.bin" for number in range(40))]
    await peer.deliver(*(f"{beginning}{name}" for name in (*names, "below/deeper.bin")))
    expected = [name for name in (*names, "below") if peer.place.traits.lists_hidden or not name.startswith(".")]
    assert sorted(await peer.names(folder)) == sorted(expected)


@listing
async def test_objects_of_others_are_told(peer: Peer) -> None:
    await peer.deliver("many/ours.bin")
    names = {f"{number:03}.bin" for number in range(300)}
    for name in names:
        peer.place.outside.write(f"many/{name}", b"x")

    async def are_told() -> bool:  # some servers see a change of their directory later
        return {*await peer.names("many")} == {"ours.bin", *names}

    await eventually(are_told)


@listing
async def test_listing_that_is_given_up_can_be_begun_again(peer: Peer) -> None:
    await peer.deliver(*(f"{number}.bin" for number in range(5)))
    async with aclosing(peer.target.names("")) as names:
        await anext(names)
    assert len(await peer.names("")) == 5


@silent
async def test_names_are_unknown_at_a_server_that_does_not_tell_them(peer: Peer) -> None:
    await peer.deliver("run.bin")
    with pytest.raises(OutcomeUnknown):
        await peer.names("")
    assert isinstance(peer.target, LooksTogether)
    assert await peer.target.entries("", at_most=5) is None


@together
@pytest.mark.parametrize("folder", FOLDERS)
async def test_entries_of_a_folder_are_told_with_their_lengths(peer: Peer, folder: str) -> None:
    assert isinstance(peer.target, LooksTogether)
    beginning = f"{folder}/" if folder else ""
    lengths = {"a b.bin": 0, ODD: 1, **{f"{number:03}.bin": number for number in range(40)}}
    for name, length in lengths.items():
        await peer.deliver(f"{beginning}{name}", data=b"x" * length)
    await peer.deliver(f"{beginning}below/deeper.bin")
    found = dict(await peer.target.entries(folder, at_most=100) or {})
    found.pop(MARKER, None)
    expected = {name: FolderEntry(is_object=True, length=length) for name, length in lengths.items()}
    assert found == {**expected, "below": FolderEntry(is_object=False)}


@together
async def test_folder_that_does_not_exist_has_no_entries(peer: Peer) -> None:
    assert await peer.target.entries("no/such/folder", at_most=5) == {}


@together
async def test_entries_of_a_large_folder_are_not_told(peer: Peer) -> None:
    await peer.deliver(*(f"run/{number}.bin" for number in range(5)))
    assert len(await peer.target.entries("run", at_most=5) or {}) == 5
    assert await peer.target.entries("run", at_most=4) is None


@at(DIRECTORY | WEBDAV)
async def test_commit_without_a_look_gives_the_object_its_name_unless_it_is_taken(peer: Peer) -> None:
    await peer.target.commit_unseen(await written(peer.target, "run.bin", b"new"))
    assert peer.place.outside.names() == {"run.bin"}
    other = await written(peer.target, "run.bin", b"other")
    with pytest.raises(ObjectExists):
        await peer.target.commit_unseen(other)
    assert peer.place.outside.read("run.bin") == b"new"


@at(WEBDAV)
async def test_folder_is_made_once_for_objects_that_are_written_at_once(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()
    request = HttpSession.request

    async def noted(session: HttpSession, method: str, url: str, **more: Any) -> Answer:
        asked.append(method)
        return await request(session, method, url, **more)

    monkeypatch.setattr(HttpSession, "request", noted)
    await asyncio.gather(*(peer.deliver(f"run/{number}.bin") for number in range(8)))
    assert asked.count("MKCOL") == 1

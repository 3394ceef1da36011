"""Downloads over real connections by clients that read nothing, read too slowly, or disconnect."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Self

import pytest

from api.download import Download
from api.download_limit import DOWNLOADS_MIB, TURN_SECONDS, WHOLE_MIB, DownloadSlots
from gridhaul.asgi.http_protocol import BoundedHttp
from gridhaul.transfer.access import NewAccount, Scope
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.states import FileState
from tests.api.service import Api, authenticator, serving
from tests.asgi.logged_service import Logged, logged
from tests.contracts.bytes_to_store import MIB, sealed, some_bytes
from tests.contracts.ports import A_FILE, Ports, claimed, eventually, memory_ports, new_file, registered

LARGE = 40 * MIB  # more than the buffers between the api and its client hold
DOWNLOADS_AT_ONCE = DOWNLOADS_MIB // WHOLE_MIB  # of large files
SHARE = DOWNLOADS_AT_ONCE // 2


class NotedSlots(DownloadSlots):
    """Slots that count the downloads that hold a slot or wait for one."""

    asked = 0

    @classmethod
    def of(cls, api: Api, *, turn_seconds: float = TURN_SECONDS) -> Self:
        """Let the api use new slots, and return them."""
        slots = cls(turn_seconds=turn_seconds)
        api.app.state.service = replace(api.app.state.service, downloads=slots)
        return slots

    @asynccontextmanager
    async def hold(self, account: str, *, mib: int) -> AsyncGenerator[None]:
        self.asked += 1
        try:
            async with super().hold(account, mib=mib):
                yield
        finally:
            self.asked -= 1

    async def wait_for(self, downloads: int) -> None:
        """Wait until so many downloads hold a slot or wait for one."""

        async def all_asked() -> bool:
            return self.asked == downloads

        await eventually(all_asked)


@dataclass
class Client:
    """A connection of one account. It receives no more than its buffers hold, until `head` or `rest` reads on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def rest(self) -> bytes:
        return await self.reader.read()

    def leave(self) -> None:
        self.writer.transport.abort()


@dataclass
class Place:
    """The api over one large and one small content."""

    ports: Ports
    api: Api
    log: Logged
    slots: NotedSlots
    large: Content
    small: Content

    async def download(self, username: str, content: Content) -> Client:
        """Ask for a new file of the account with this content, and do not wait for the answer."""
        return await self.download_file(username, await self.file(username, content))

    async def download_file(self, username: str, file_id: RecordId) -> Client:
        """Ask for the file on a connection of its own, and do not wait for the answer."""
        token = await self._token(username)
        client = Client(*await self.log.connect())
        lines = (f"GET /files/{file_id}/content HTTP/1.1", "Host: x", f"Authorization: Bearer {token}")
        client.writer.write("\r\n".join((*lines, "Connection: close", "", "")).encode())
        return client

    async def begun(self, username: str, content: Content) -> Client:
        """Return a client whose download has begun."""
        client = await self.download(username, content)
        assert (await client.head()).startswith("HTTP/1.1 200 ")
        return client

    async def _token(self, username: str) -> str:
        accounts = self.ports.accounts
        account = await accounts.named(username)
        account = account or await accounts.create(NewAccount(username=username, scopes=(Scope.READ,)))
        return authenticator(accounts).access_token(account, frozenset({Scope.READ}))

    async def file(self, username: str, content: Content) -> RecordId:
        """Return a new stored file of the account."""
        new = replace(new_file(length=content.length), owner=username)
        file = await claimed(self.ports, await registered(self.ports, new))
        await self.ports.files.finish(file.lease, FileState.STORED, sha256=content.sha256, content_id=content.id)
        return file.id


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    ports = memory_ports(lease_seconds=60)
    intake = ports.intake_with(0)
    large, small = [await sealed(ports.contents, intake, some_bytes(length)) for length in (LARGE, 100_000)]
    async with serving(ports, accounts=ports.accounts) as api, logged(api.app) as log:
        yield Place(ports=ports, api=api, log=log, slots=NotedSlots.of(api), large=large, small=small)


async def test_slow_readers_of_one_account_do_not_hold_up_another(place: Place) -> None:
    slow = [await place.begun("alice", place.large) for _ in range(SHARE)]
    slow += [await place.download("alice", place.large) for _ in range(DOWNLOADS_AT_ONCE - SHARE)]
    for content in (place.large, place.small):
        other = await place.begun("bob", content)
        assert await other.rest() == some_bytes(content.length)


async def test_slow_readers_of_small_files_hold_no_slot(place: Place) -> None:
    for _ in range(DOWNLOADS_AT_ONCE):
        await place.download("alice", place.small)
    assert await (await place.begun("alice", place.large)).rest() == some_bytes(LARGE)


async def test_download_beyond_the_limit_begins_when_another_ends(place: Place) -> None:
    slow = [await place.begun(f"account-{number}", place.large) for number in range(DOWNLOADS_AT_ONCE)]
    waiting = await place.download("alice", place.large)
    slow[3].leave()
    assert (await waiting.head()).startswith("HTTP/1.1 200 ")


async def test_download_without_a_slot_in_time_is_refused_as_busy(place: Place) -> None:
    NotedSlots.of(place.api, turn_seconds=0.05)
    for _ in range(SHARE):
        await place.begun("alice", place.large)
    refused = await place.download("alice", place.large)
    head, body = await refused.head(), json.loads(await refused.rest())
    assert head.startswith("HTTP/1.1 503 ")
    assert "\r\nretry-after: 5\r\n" in head
    assert "\r\ncontent-type: application/problem+json\r\n" in head
    assert (body["code"], "your account" in body["detail"]) == ("downloads_busy", True)


async def test_client_that_leaves_while_it_waits_leaves_its_place(place: Place) -> None:
    slow = [await place.begun("alice", place.large) for _ in range(SHARE)]
    gone = await place.download("alice", place.large)
    waiting = await place.download("alice", place.large)
    await place.slots.wait_for(SHARE + 2)
    gone.leave()
    [line] = await place.log.requests(1)
    assert (line["status"], line["disconnected"]) == (499, True)
    slow[0].leave()
    assert (await waiting.head()).startswith("HTTP/1.1 200 ")


async def test_file_that_is_deleted_while_its_download_waits_is_reported_as_deleted(place: Place) -> None:
    slow = [await place.begun("alice", place.large) for _ in range(SHARE)]
    file_id = await place.file("alice", place.small)
    waiting = await place.download_file("alice", file_id)
    await place.slots.wait_for(SHARE + 1)
    await place.ports.files.request_delete(file_id, deliveries_asked=0)
    await place.ports.contents.drop_ref(place.small.id, A_FILE)
    slow[0].leave()
    assert (await waiting.head()).startswith("HTTP/1.1 409 ")
    refused = json.loads(await waiting.rest())
    assert (refused["code"], refused["detail"]) == (
        "state_conflict",
        "The file is DELETING: it has no stored bytes.",
    )


async def test_client_that_leaves_in_the_middle_is_logged_in_one_line(place: Place) -> None:
    (await place.begun("alice", place.large)).leave()
    [line] = await place.log.requests(1)
    assert (line["status"], line["disconnected"]) == (200, True)
    assert place.log.lines == [line]


async def test_client_that_reads_nothing_is_disconnected_and_the_log_says_why(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Download, "chunk_seconds", 2.0)  # enough for the client that reads, also on a busy machine
    slow = [await place.begun("alice", place.large) for _ in range(SHARE)]
    waiting = await place.download("alice", place.large)
    assert (await waiting.head()).startswith("HTTP/1.1 200 ")
    assert await waiting.rest() == some_bytes(LARGE)
    reasons = [line.get("ended", "") for line in await place.log.requests(SHARE + 1)]
    assert len([reason for reason in reasons if "less than 1 MiB" in reason]) == SHARE
    assert len(await slow[0].rest()) < LARGE


async def test_damaged_chunk_in_the_middle_ends_the_connection_and_is_no_unexpected_error(place: Place) -> None:
    contents = place.ports.contents
    del contents.chunks[place.large.id][35]  # type: ignore[attr-defined]
    client = await place.begun("alice", place.large)
    received = await client.rest()
    assert received == some_bytes(LARGE)[: len(received)]
    await place.log.requests(1)
    assert [line["code"] for line in place.log.lines if line["event"] == "request_failed"] == ["chunk_missing"]


async def test_bytes_are_private_and_not_to_be_stored(place: Place) -> None:
    head = await (await place.download("alice", place.small)).head()
    assert "\r\ncache-control: private, no-store\r\n" in head


def test_slow_download_is_ended_by_the_api_before_its_connection_is_by_the_server() -> None:
    assert Download.chunk_seconds < BoundedHttp.answer_seconds

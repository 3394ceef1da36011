"""Downloads over real connections by clients that take nothing, take too little, or go away."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs
from structlog.typing import EventDict

from api.download import Download
from api.download_limit import DOWNLOADS_AT_ONCE, DownloadSlots
from gridhaul.asgi.http_protocol import BoundedHttp
from gridhaul.transfer.access import NewAccount, Scope
from gridhaul.transfer.model import Content, RecordId
from gridhaul.transfer.states import FileState
from tests.api.service import Api, authenticator, serving
from tests.asgi.connections import Connection, served
from tests.contracts.bytes_to_store import MIB, sealed, some_bytes
from tests.contracts.ports import A_FILE, Ports, claimed, eventually, memory_ports, new_file, registered

LARGE = 40 * MIB  # more than the buffers between the api and its client hold
SHARE = DOWNLOADS_AT_ONCE // 2


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
    """The api over one large and one small content. Each account has files of its own."""

    ports: Ports
    api: Api
    connect: Callable[[], Awaitable[Connection]]
    lines: list[EventDict]
    large: Content
    small: Content

    async def download(self, username: str, *, small: bool = False) -> Client:
        """Ask for a file of the account on a connection of its own, and do not wait for the answer."""
        file_id, token = await self._file(username, self.small if small else self.large), await self._token(username)
        client = Client(*await self.connect())
        lines = (f"GET /files/{file_id}/content HTTP/1.1", "Host: x", f"Authorization: Bearer {token}")
        client.writer.write("\r\n".join((*lines, "Connection: close", "", "")).encode())
        return client

    async def begun(self, username: str, *, small: bool = False) -> Client:
        """Return a client whose download has begun."""
        client = await self.download(username, small=small)
        assert (await client.head()).startswith("HTTP/1.1 200 ")
        return client

    def set_turn_seconds(self, turn_seconds: float) -> None:
        service = self.api.app.state.service
        self.api.app.state.service = replace(service, downloads=DownloadSlots(turn_seconds=turn_seconds))

    async def ended(self, requests: int) -> list[EventDict]:
        """Wait until so many requests have ended, and return what the log says of them, in order."""

        async def found() -> list[EventDict]:
            lines = [line for line in self.lines if line["event"] == "request"]
            return lines if len(lines) >= requests else []

        return await eventually(found)

    async def _token(self, username: str) -> str:
        accounts = self.ports.accounts
        account = await accounts.named(username)
        account = account or await accounts.create(NewAccount(username=username, scopes=(Scope.READ,)))
        return authenticator(accounts).access_token(account, frozenset({Scope.READ}))

    async def _file(self, username: str, content: Content) -> RecordId:
        new = replace(new_file(length=content.length), owner=username)
        file = await claimed(self.ports, await registered(self.ports, new))
        await self.ports.files.finish(file.lease, FileState.STORED, sha256=content.sha256, content_id=content.id)
        return file.id


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[EventDict]]:
    """Yield the lines of the log. Fails if uvicorn or the api logged a traceback."""
    server = logging.getLogger("uvicorn.error")
    server.addHandler(caplog.handler)
    try:
        with capture_logs(processors=[merge_contextvars]) as found:
            yield found
    finally:
        server.removeHandler(caplog.handler)
    assert [record for record in caplog.records if record.exc_info] == []
    assert [line for line in found if line["event"] == "unexpected_error"] == []


@pytest.fixture
async def place(lines: list[EventDict]) -> AsyncIterator[Place]:
    ports = memory_ports(lease_seconds=60)
    intake = ports.intake_with(0)
    large, small = [await sealed(ports.contents, intake, some_bytes(length)) for length in (LARGE, 100_000)]
    async with serving(ports, accounts=ports.accounts) as api, served(api.app) as connect:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        yield Place(ports=ports, api=api, connect=connect, lines=lines, large=large, small=small)


async def test_slow_readers_of_one_account_do_not_hold_up_another(place: Place) -> None:
    slow = [await place.begun("alice") for _ in range(SHARE)]
    slow += [await place.download("alice") for _ in range(DOWNLOADS_AT_ONCE - SHARE)]
    for small in (False, True):
        other = await place.begun("bob", small=small)
        assert await other.rest() == some_bytes(place.small.length if small else LARGE)


async def test_slow_readers_of_small_files_hold_no_slot(place: Place) -> None:
    for _ in range(DOWNLOADS_AT_ONCE):
        await place.download("alice", small=True)
    assert await (await place.begun("alice")).rest() == some_bytes(LARGE)


async def test_download_beyond_the_limit_begins_when_another_ends(place: Place) -> None:
    slow = [await place.begun(f"account-{number}") for number in range(DOWNLOADS_AT_ONCE)]
    waiting = await place.download("alice")
    slow[3].leave()
    assert (await waiting.head()).startswith("HTTP/1.1 200 ")


async def test_download_without_a_turn_is_told_that_the_server_is_busy(place: Place) -> None:
    place.set_turn_seconds(0.05)
    for _ in range(SHARE):
        await place.begun("alice")
    refused = await place.download("alice")
    head, body = await refused.head(), json.loads(await refused.rest())
    assert head.startswith("HTTP/1.1 503 ")
    assert "\r\nretry-after: 5\r\n" in head
    assert "\r\ncontent-type: application/problem+json\r\n" in head
    assert body["code"] == "downloads_busy"


async def test_client_that_leaves_while_it_waits_leaves_its_place(place: Place) -> None:
    slow = [await place.begun("alice") for _ in range(SHARE)]
    gone = await place.download("alice")
    waiting = await place.download("alice")
    gone.leave()
    [line] = await place.ended(1)
    assert (line["status"], line["disconnected"]) == (499, True)
    slow[0].leave()
    assert (await waiting.head()).startswith("HTTP/1.1 200 ")


async def test_file_that_is_deleted_while_its_download_waits_is_told_as_such(place: Place) -> None:
    slow = [await place.begun("alice") for _ in range(SHARE)]
    waiting = await place.download("alice", small=True)
    await place.ports.contents.drop_ref(place.small.id, A_FILE)
    slow[0].leave()
    assert (await waiting.head()).startswith("HTTP/1.1 409 ")
    assert json.loads(await waiting.rest())["code"] == "state_conflict"


async def test_client_that_leaves_in_the_middle_is_one_quiet_line(place: Place) -> None:
    (await place.begun("alice")).leave()
    [line] = await place.ended(1)
    assert (line["status"], line["disconnected"]) == (200, True)
    assert place.lines == [line]


async def test_client_that_takes_too_little_is_disconnected_and_the_log_says_why(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Download, "chunk_seconds", 0.2)
    slow = [await place.begun("alice") for _ in range(SHARE)]
    waiting = await place.download("alice")
    assert (await waiting.head()).startswith("HTTP/1.1 200 ")
    assert await waiting.rest() == some_bytes(LARGE)
    told = [line.get("ended", "") for line in await place.ended(SHARE + 1)]
    assert len([why for why in told if "less than 1 MiB" in why]) == SHARE
    assert len(await slow[0].rest()) < LARGE


async def test_damaged_chunk_in_the_middle_ends_the_connection_and_is_no_unexpected_error(place: Place) -> None:
    contents = place.ports.contents
    del contents.chunks[place.large.id][35]  # type: ignore[attr-defined]
    client = await place.begun("alice")
    received = await client.rest()
    assert received == some_bytes(LARGE)[: len(received)]
    await place.ended(1)
    assert [line["code"] for line in place.lines if line["event"] == "request_failed"] == ["chunk_missing"]


async def test_bytes_are_private_and_not_to_be_stored(place: Place) -> None:
    head = await (await place.download("alice", small=True)).head()
    assert "\r\ncache-control: private, no-store\r\n" in head


def test_slow_download_is_ended_by_the_api_before_its_connection_is_by_the_server() -> None:
    assert Download.chunk_seconds < BoundedHttp.answer_seconds

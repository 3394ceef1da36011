"""Whose records a stream of events tells of, and that it ends with the right to see them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from api.events.stream import EventStream
from gridhaul.storage.accounts.accounts import MongoAccounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import ApiKey, NewAccount, Scope
from gridhaul.transfer.credentials import Credential, CredentialKind
from gridhaul.transfer.model import File, RecordId
from tests.api.event_client import Streams, streaming
from tests.api.service import authenticator, serving
from tests.contracts.ports import Ports, destination, new_batch, new_delivery, new_file

READING = (Scope.READ,)


@dataclass(frozen=True, kw_only=True)
class World:
    accounts: MongoAccounts
    streams: Streams
    ports: Ports

    async def key(self, username: str, *, expires_at: datetime | None = None) -> tuple[str, RecordId]:
        """Return a new key of the account, and the key's id."""
        account = await self.accounts.named(username)
        assert account is not None
        made = Credential.new(CredentialKind.API_KEY)
        now = datetime.now(UTC)
        key = ApiKey(
            id=made.id, name="k", digest=made.digest, scopes=tuple(Scope), created_at=now, expires_at=expires_at
        )
        await self.accounts.add_key(account, key)
        return made.text, made.id

    async def file(self, owner: str) -> File:
        file, _ = await self.ports.files.register(replace(new_file(), owner=owner))
        return file

    async def one_of_each(self, owner: str) -> set[str]:
        """Make a file, a delivery and a batch of the owner, and return their ids."""
        file = await self.file(owner)
        new = replace(new_delivery(destination(), file_id=file.id), owner=owner)
        delivery, _ = await self.ports.deliveries.open(new)
        batch, _ = await self.ports.batches.register(new_batch(owner=owner))
        return {file.id, delivery.id, batch.id}


@pytest.fixture
async def world(database: Database, ports: Ports) -> AsyncIterator[World]:
    accounts = MongoAccounts(database)
    for username, scopes in (("alice", READING), ("bob", READING), ("root", tuple(Scope))):
        await accounts.create(NewAccount(username=username, scopes=scopes))
    async with serving(ports, accounts=accounts) as api, streaming(api) as streams:
        yield World(accounts=accounts, streams=streams, ports=ports)


def _ids(told: list[dict[str, str]]) -> set[str]:
    names = ("delivery_id", "file_id", "batch_id")
    return {next(one[name] for name in names if name in one) for one in told}


async def test_account_is_told_of_its_own_records_and_an_admin_of_all(world: World) -> None:
    (alice, _), (bob, _), (root, _) = [await world.key(name) for name in ("alice", "bob", "root")]
    earlier = {name: await world.one_of_each(name) for name in ("alice", "bob")}
    async with (
        world.streams.opened(token=alice) as alices,
        world.streams.opened(token=bob) as bobs,
        world.streams.opened(token=root) as everybodys,
    ):
        theirs = {name: earlier[name] | await world.one_of_each(name) for name in ("alice", "bob")}
        for stream, wanted in ((everybodys, theirs["alice"] | theirs["bob"]), (bobs, theirs["bob"])):
            await stream.until(lambda one, wanted=wanted: _ids(one.told()) >= wanted)
        await alices.until(lambda one: _ids(one.told()) >= theirs["alice"])
        assert _ids(alices.told()) == theirs["alice"]
        assert _ids(bobs.told()) == theirs["bob"]


async def test_replay_has_only_what_the_account_may_see(world: World) -> None:
    (alice, _) = await world.key("alice")
    theirs = {name: await world.one_of_each(name) for name in ("bob", "alice")}
    async with world.streams.opened(token=alice, Last_Event_ID=f"0-{'0' * 24}") as stream:
        await stream.until(lambda one: _ids(one.told()) >= theirs["alice"])
        assert _ids(stream.told()) == theirs["alice"]


async def test_file_of_another_account_cannot_be_followed(world: World) -> None:
    (bob, _), (root, _) = [await world.key(name) for name in ("bob", "root")]
    file = await world.file("alice")
    path = f"/files/{file.id}/events"
    refused = await world.streams.http.get(path, headers={"Authorization": f"Bearer {bob}"})
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    async with world.streams.opened(path, token=root) as stream:
        await stream.states(file.id, "REGISTERED")


async def test_key_without_the_scope_opens_no_stream(world: World) -> None:
    account = await world.accounts.create(NewAccount(username="carol", scopes=(Scope.PREPARE,)))
    token = authenticator(world.accounts).access_token(account, frozenset({Scope.PREPARE}))
    answer = await world.streams.http.get("/events", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventStream, "check_seconds", 0.05)


@pytest.mark.usefixtures("looks_often")
async def test_stream_ends_when_its_key_is_revoked_and_no_other_stream_does(world: World) -> None:
    (alice, key_id), (other, _) = await world.key("alice"), await world.key("alice")
    async with world.streams.opened(token=alice) as stream, world.streams.opened(token=other) as goes_on:
        await world.accounts.revoke_key(key_id, of="alice")
        await stream.until(lambda one: one.over)
        file = await world.file("alice")
        await goes_on.states(file.id, "REGISTERED")
        assert file.id not in _ids(stream.told())


@pytest.mark.usefixtures("looks_often")
async def test_stream_ends_when_its_key_expires(world: World) -> None:
    (alice, _) = await world.key("alice", expires_at=datetime.now(UTC) + timedelta(seconds=1))
    async with world.streams.opened(token=alice) as stream:
        await stream.until(lambda one: one.over)


@pytest.mark.usefixtures("looks_often")
@pytest.mark.parametrize(
    "changes", [{"disabled": True}, {"scopes": (Scope.PREPARE,)}, {"scopes": (Scope.READ,)}], ids=str
)
async def test_stream_of_an_admin_ends_when_the_account_may_see_less(world: World, changes: dict[str, object]) -> None:
    (root, _) = await world.key("root")
    async with world.streams.opened(token=root) as stream:
        await world.accounts.change("root", changes)
        await stream.until(lambda one: one.over)


@pytest.mark.usefixtures("looks_often")
async def test_idle_stream_is_pinged_and_goes_on_while_its_caller_may_see(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EventStream, "ping_seconds", 0.02)
    (alice, _) = await world.key("alice")
    sent = {"Authorization": f"Bearer {alice}"}
    async with world.streams.http.stream("GET", "/events", headers=sent) as response:
        text = ""
        async for part in response.aiter_text():
            text += part
            if text.count(": ping\n\n") > 10:
                break
    assert text.startswith("retry: ")

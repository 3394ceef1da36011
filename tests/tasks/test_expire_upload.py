"""An upload that nobody continued: its bytes are deleted, and the quota is right, also beside a recount."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gridhaul.storage.accounts.usage import MongoRecounts
from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.model import File, RecordId
from gridhaul.transfer.origins import Door, Upload
from gridhaul.transfer.states import ContentState, FileState
from tasks.expire_upload import expire
from tests.contracts.ports import AllUploads, Ports, eventually, mongo_ports, new_file
from tests.unused import UNUSED

OWNER, LENGTH = "operator", 10


@pytest.fixture
async def ports(database: Database) -> Ports:
    ports = mongo_ports(database, lease_seconds=60)
    await ports.accounts.create(NewAccount(username=OWNER, scopes=()))
    return ports


class _Worker:
    """The parts of a worker that the journey uses."""

    def __init__(self, ports: Ports, uploads: AllUploads, usage: Any) -> None:
        self.files, self.contents = ports.files, ports.contents
        self.uploads, self.usage = uploads, usage
        self.deliveries = self.chunks = UNUSED


async def held(ports: Ports, uploads: AllUploads) -> File:
    """Return an upload with an open content, charged as the api charges it."""
    await ports.usage_with(None).charge(OWNER, LENGTH)
    new = replace(new_file(length=LENGTH), origin=Upload(door=Door.TUS))
    file, _ = await uploads.create(new)
    taken = await uploads.take(file.id, holder="one", new_content_id=ports.contents.new_id())
    assert taken is not None
    assert taken.content_id is not None
    await ports.contents.open_upload(
        taken.content_id, file_id=file.id, filename="a", content_type="b", length=LENGTH, fence=taken.fence
    )
    return taken


async def used_bytes(ports: Ports) -> int:
    (account,) = await ports.accounts.page(limit=2, after=None)
    return account.used_bytes


async def run(ports: Ports, uploads: AllUploads, file_id: RecordId, usage: Any = None) -> None:
    worker: Any = _Worker(ports, uploads, usage or ports.usage_with(None))
    await expire(worker, file_id)


async def test_upload_whose_time_has_come_expires_with_its_bytes_and_its_quota(ports: Ports) -> None:
    uploads = ports.uploads_living(0.05)
    file = await held(ports, uploads)
    await eventually(lambda: ports.agenda.due(10))
    await run(ports, uploads, file.id)
    await run(ports, uploads, file.id)
    now = await uploads.get(file.id)
    assert now is not None
    assert (now.state, await used_bytes(ports)) == (FileState.EXPIRED, 0)
    assert file.content_id is not None
    content = await ports.contents.get(file.content_id)
    assert content is not None
    assert content.state is ContentState.DELETING


async def test_upload_whose_time_has_not_come_stays(ports: Ports) -> None:
    uploads = ports.uploads_living(3600)
    file = await held(ports, uploads)
    await run(ports, uploads, file.id)
    assert await uploads.get(file.id) == file
    assert await used_bytes(ports) == LENGTH


async def test_unknown_upload_is_nothing_to_do(ports: Ports) -> None:
    await run(ports, ports.uploads_living(0), RecordId("f" * 24))


class _RecountedBefore:
    """The usage of accounts, with a recount by another worker before each release."""

    def __init__(self, ports: Ports, recounts: MongoRecounts) -> None:
        self._usage, self._recounts = ports.usage_with(None), recounts
        self.announce = self._usage.announce

    async def release(self, owner: str, length_bytes: int) -> None:
        if found := await self._recounts.next(after=""):
            await self._recounts.set_right(found)
        await self._usage.release(owner, length_bytes)


async def test_recount_between_expiry_and_release_takes_no_bytes_off_twice(ports: Ports, database: Database) -> None:
    uploads = ports.uploads_living(0.05)
    file = await held(ports, uploads)
    await held(ports, ports.uploads_living(3600))
    await eventually(lambda: ports.agenda.due(10))
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    await database["auth"].update_one({"username": OWNER}, {"$set": {"charged_at": long_ago}})
    await run(ports, uploads, file.id, _RecountedBefore(ports, MongoRecounts(database, quiet_seconds=60)))
    assert await used_bytes(ports) == LENGTH

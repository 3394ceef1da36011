"""Claims that MongoDB has made, although their answers were lost."""

from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from gridhaul.storage.codec import new_id
from gridhaul.storage.connect import Database
from gridhaul.storage.files import MongoFiles
from gridhaul.transfer.states import STORABLE, FileState
from tests.contracts.ports import new_file


async def test_claim_whose_answer_is_lost_is_found_again(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    files = MongoFiles(database, lease_seconds=60)
    file, _ = await files.register(new_file())
    ask = files._collection.find_one_and_update

    async def answer_lost(*args: Any, **options: Any) -> None:
        await ask(*args, **options)
        raise AutoReconnect("connection closed")

    monkeypatch.setattr(files._collection, "find_one_and_update", answer_lost)
    claimed = await files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert claimed is not None
    assert (claimed.fence, claimed.state) == (1, FileState.STORING)
    again = await files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert again is None, "a refused claim must not be found"


async def test_claims_of_new_files_whose_answer_is_lost_are_found_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = MongoFiles(database, lease_seconds=60)
    contents = {(await files.register(new_file()))[0].id: new_id() for _ in range(3)}
    ask = files._collection.update_many

    async def answer_lost(*args: Any, **options: Any) -> None:
        await ask(*args, **options)
        raise AutoReconnect("connection closed")

    monkeypatch.setattr(files._collection, "update_many", answer_lost)
    claimed = await files.claim_new(contents, holder="w")
    assert {file.id: file.content_id for file in claimed} == contents
    assert {(file.fence, file.state) for file in claimed} == {(1, FileState.STORING)}
    again = await files.claim_new(dict.fromkeys(contents, new_id()), holder="w")
    assert {file.id: file.content_id for file in again} == contents, "a refused claim must not be found"

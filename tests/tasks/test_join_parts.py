"""The length of a file that is joined from parts: it counts as that of any other file does."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from gridhaul.storage.connect import Database
from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.errors import PayloadTooLarge
from gridhaul.transfer.origins import Door, Upload
from gridhaul.transfer.states import STORABLE, FileState
from tasks.join_parts import _with_length
from tests.contracts.ports import Ports, mongo_ports, new_file


@pytest.fixture
def ports(database: Database) -> Ports:
    return mongo_ports(database, lease_seconds=60)


@pytest.mark.parametrize("most", [None, 9, 10])
async def test_length_that_is_known_late_has_the_limit_of_files(ports: Ports, most: int | None) -> None:
    """The api could not compare it: a part had named no length when the final upload was registered."""
    origin = Upload(door=Door.TUS, length_deferred=True, parts=("a" * 24,))
    new = replace(new_file(), length=0, origin=origin)
    await ports.accounts.create(NewAccount(username=new.owner, scopes=()))
    file, _ = await ports.uploads_living(60).create(new)
    claimed = await ports.files.claim(file.id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert claimed is not None
    settings = SimpleNamespace(max_file_bytes=most)
    worker: Any = SimpleNamespace(settings=settings, usage=ports.usage_with(None), files=ports.files)
    if most == 9:
        with pytest.raises(PayloadTooLarge):
            await _with_length(worker, claimed, 10)
    else:
        assert (await _with_length(worker, claimed, 10)).length == 10
    now = await ports.files.get(file.id)
    (account,) = await ports.accounts.page(limit=2, after=None)
    assert now is not None
    assert now.length == account.used_bytes == (0 if most == 9 else 10)

"""Prepare and retry of a source that changes: the policy, and a file that is registered anew."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gridhaul.transfer.errors import SourceChanged
from gridhaul.transfer.model import (
    Failure,
    File,
    Queue,
    RecordId,
)
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.states import STORABLE, FileState
from tests.api.service import Api, serving
from tests.contracts.ports import Ports

CONTENT = RecordId("c" * 24)
OTHER_ERROR = Failure(code="worker_lost", detail="It was lost.")
CHANGED = Failure(code=SourceChanged.code, detail="It changed.")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    path.write_bytes(b"bytes")
    return path


@pytest.fixture
async def api(ports: Ports, source: Path) -> AsyncIterator[Api]:
    async with serving(ports, root=source.parent) as found:
        yield found


async def _prepared(api: Api, source: Path, **body: str) -> RecordId:
    answer = await api.http.post("/upload/prepare", json={"file_path": str(source), **body})
    assert answer.status_code == 202, answer.text
    return RecordId(answer.json()["file_id"])


async def _failed(api: Api, ports: Ports, source: Path, error: Failure = OTHER_ERROR) -> File:
    """Return a file that failed after 3 of its bytes were stored."""
    file_id = await _prepared(api, source)
    taken = await ports.files.claim(file_id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert taken is not None
    await ports.files.finish(taken.lease, FileState.FAILED, error=error, content_id=CONTENT, stored_bytes=3)
    return await _now(ports, file_id)


async def _retry(api: Api, file: File) -> tuple[int, str | None]:
    answer = await api.http.post(f"/files/{file.id}/retry")
    return answer.status_code, answer.json().get("code")


def _replace(source: Path, data: bytes) -> None:
    new = source.with_name("new")
    new.write_bytes(data)
    new.rename(source)


def _remove(source: Path) -> None:
    source.unlink()


def _touch(source: Path) -> None:
    """Change the ctime of the source and nothing else that identifies it."""
    source.with_name("link").hardlink_to(source)
    source.chmod(0o600)


async def _now(ports: Ports, file_id: RecordId) -> File:
    file = await ports.files.get(file_id)
    assert file is not None
    return file


async def test_policy_is_kept_with_the_file_and_fails_unless_asked(api: Api, ports: Ports, source: Path) -> None:
    wanted = await _now(ports, await _prepared(api, source, if_changed="restart"))
    default = await _now(ports, await _prepared(api, source))
    assert (wanted.source.if_changed, default.source.if_changed) == (IfChanged.RESTART, IfChanged.FAIL)
    assert (await api.http.get(f"/files/{wanted.id}")).json()["if_changed"] == "restart"
    unknown = await api.http.post("/upload/prepare", json={"file_path": str(source), "if_changed": "ignore"})
    assert unknown.status_code == 422


async def test_same_key_with_another_policy_is_a_conflict(api: Api, source: Path) -> None:
    for policy, answer in (("fail", 202), ("restart", 422), ("fail", 202)):
        body = {"file_path": str(source), "if_changed": policy}
        response = await api.http.post("/upload/prepare", json=body, headers={"Idempotency-Key": "k"})
        assert response.status_code == answer


async def test_retry_goes_on_with_a_source_that_stayed_the_same(api: Api, ports: Ports, source: Path) -> None:
    before = await _failed(api, ports, source)
    _touch(source)
    assert await _retry(api, before) == (200, None)
    after = await _now(ports, before.id)
    assert (after.source.identity, after.content_id, after.content_outdated) == (before.source.identity, CONTENT, False)
    assert after.stored_bytes == 3


async def test_retry_registers_a_source_that_was_replaced_anew(api: Api, ports: Ports, source: Path) -> None:
    before = await _failed(api, ports, source)
    _replace(source, bytes(1000))
    assert await _retry(api, before) == (200, None)
    after = await _now(ports, before.id)
    assert (after.length, after.source.identity.size, after.queue) == (1000, 1000, Queue.LARGE)
    assert after.source.identity.inode != before.source.identity.inode
    assert (after.content_id, after.content_outdated, after.stored_bytes) == (CONTENT, True, 0)


async def test_retry_starts_over_when_the_source_was_seen_to_change(api: Api, ports: Ports, source: Path) -> None:
    """The stored chunks may come from two states of the source, though its size, mtime and inode are the same."""
    before = await _failed(api, ports, source, CHANGED)
    assert await _retry(api, before) == (200, None)
    assert (await _now(ports, before.id)).content_outdated


async def test_retry_without_a_source_is_refused_and_leaves_the_file_failed(
    api: Api, ports: Ports, source: Path
) -> None:
    before = await _failed(api, ports, source)
    _remove(source)
    assert await _retry(api, before) == (404, "source_missing")
    assert await _now(ports, before.id) == before

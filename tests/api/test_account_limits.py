"""The limits of an account: its quota of bytes, and the number of its files that wait to be stored."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from gridhaul.transfer.access import NewAccount
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError, InvalidValue
from gridhaul.transfer.listing import Selection
from gridhaul.transfer.model import File, NewFile, RecordId
from gridhaul.transfer.states import STORABLE, FileState
from tests.api.service import Api, serving
from tests.contracts.ports import Ports, memory_ports, mongo_ports

LENGTH = 5
OWNER = "operator"


@pytest.fixture(params=["memory", "mongodb"])
def ports(request: pytest.FixtureRequest) -> Ports:
    if request.param == "memory":
        return memory_ports(lease_seconds=60)
    return mongo_ports(request.getfixturevalue("database"), lease_seconds=60)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    path.write_bytes(bytes(LENGTH))
    return path


@pytest.fixture
async def api(ports: Ports, source: Path) -> AsyncIterator[Api]:
    async with serving(ports, root=source.parent, max_open_files=12) as found:
        yield found


async def _account(ports: Ports, *, quota_bytes: int | None = None, max_open_files: int | None = None) -> None:
    new = NewAccount(username=OWNER, scopes=(), quota_bytes=quota_bytes, max_open_files=max_open_files)
    await ports.accounts.create(new)


async def _used(ports: Ports) -> int:
    account = await ports.accounts.named(OWNER)
    assert account is not None
    return account.used_bytes


async def _prepare(api: Api, source: Path, *, key: str | None = None) -> httpx2.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await api.http.post("/upload/prepare", json={"file_path": str(source)}, headers=headers)


async def _files(ports: Ports) -> list[File]:
    return list(await ports.files.page(Selection(owner=OWNER), limit=1000, after=None))


async def _in_state(ports: Ports, answer: httpx2.Response, state: FileState) -> RecordId:
    file_id = RecordId(answer.json()["file_id"])
    taken = await ports.files.claim(file_id, holder="w", from_states=STORABLE, to_state=FileState.STORING)
    assert taken is not None
    await ports.files.finish(taken.lease, state)
    return file_id


def _write(source: Path, length: int) -> None:
    source.write_bytes(bytes(length))


def _refusal(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_file_that_does_not_fit_is_refused_and_not_registered(api: Api, ports: Ports, source: Path) -> None:
    await _account(ports, quota_bytes=2 * LENGTH - 1)
    assert (await _prepare(api, source)).status_code == 202
    refused = await _prepare(api, source)
    assert _refusal(refused) == (507, "quota_exceeded")
    assert len(await _files(ports)) == len(api.hints) == 1
    assert await _used(ports) == LENGTH


async def test_prepares_at_once_use_the_quota_up_and_not_more(api: Api, ports: Ports, source: Path) -> None:
    await _account(ports, quota_bytes=10 * LENGTH)
    answers = await asyncio.gather(*(_prepare(api, source) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] * 10 + [507] * 10
    assert (len(await _files(ports)), await _used(ports)) == (10, 10 * LENGTH)


async def test_repeats_with_a_key_are_charged_once(api: Api, ports: Ports, source: Path) -> None:
    await _account(ports, quota_bytes=100 * LENGTH)
    answers = await asyncio.gather(*(_prepare(api, source, key="k") for _ in range(10)))
    answers.append(await _prepare(api, source, key="k"))
    assert {answer.status_code for answer in answers} == {202}
    assert (len(await _files(ports)), await _used(ports)) == (1, LENGTH)


async def test_repeat_with_a_key_is_answered_when_nothing_more_fits(api: Api, ports: Ports, source: Path) -> None:
    await _account(ports, quota_bytes=LENGTH, max_open_files=1)
    first = await _prepare(api, source, key="k")
    again = await _prepare(api, source, key="k")
    assert (again.status_code, again.json()) == (202, first.json())


async def test_request_that_is_refused_for_its_source_is_not_charged(api: Api, ports: Ports, source: Path) -> None:
    await _account(ports)
    assert (await _prepare(api, source.with_name("missing"))).status_code == 404
    assert await _used(ports) == 0


class _Refusing:
    """A `FileRegistry` whose insert fails."""

    def __init__(self, files: object, error: Exception) -> None:
        self._files = files
        self._error = error

    def __getattr__(self, name: str) -> object:
        return getattr(self._files, name)

    async def register(self, new: NewFile) -> tuple[File, bool]:
        raise self._error


@pytest.mark.parametrize(("error", "used"), [(InvalidValue, 0), (DatabaseUnavailable, LENGTH)])
async def test_insert_that_failed_for_certain_is_given_back_and_any_other_is_not(
    ports: Ports, source: Path, error: type[GridhaulError], used: int
) -> None:
    await _account(ports)
    refusing: Ports = replace(ports, files=_Refusing(ports.files, error("No.")))  # type: ignore[arg-type]
    async with serving(refusing, root=source.parent) as api:
        assert _refusal(await _prepare(api, source)) == (error.status, error.code)
    assert await _used(ports) == used


@pytest.mark.parametrize(("length", "answer", "used"), [(9, 200, 9), (2, 200, 2), (11, 507, LENGTH)])
async def test_retry_charges_what_the_source_has_grown_and_releases_what_it_has_shrunk(
    api: Api, ports: Ports, source: Path, length: int, answer: int, used: int
) -> None:
    await _account(ports, quota_bytes=10)
    file_id = await _in_state(ports, await _prepare(api, source), FileState.FAILED)
    _write(source, length)
    retried = await api.http.post(f"/files/{file_id}/retry")
    assert retried.status_code == answer, retried.text
    (file,) = await _files(ports)
    assert (file.length, await _used(ports)) == (used, used)
    assert file.state is (FileState.REGISTERED if answer == 200 else FileState.FAILED)


async def test_retries_at_once_are_charged_once(api: Api, ports: Ports, source: Path) -> None:
    await _account(ports)
    file_id = await _in_state(ports, await _prepare(api, source), FileState.FAILED)
    _write(source, 100)
    answers = await asyncio.gather(*(api.http.post(f"/files/{file_id}/retry") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert await _used(ports) == 100


async def test_more_open_files_are_refused_until_one_is_stored(api: Api, ports: Ports, source: Path) -> None:
    first, second = [await _prepare(api, source) for _ in range(12)][:2]
    refused = await _prepare(api, source)
    assert _refusal(refused) == (429, "too_many_open_files")
    assert int(refused.headers["Retry-After"]) > 0
    await _in_state(ports, first, FileState.STORED)
    assert (await _prepare(api, source)).status_code == 202
    await _in_state(ports, second, FileState.FAILED)
    failed = second.json()["file_id"]
    assert (await _prepare(api, source)).status_code == 202
    assert _refusal(await api.http.post(f"/files/{failed}/retry")) == (429, "too_many_open_files")


async def test_retry_looks_at_the_limit_of_the_files_owner(api: Api, ports: Ports, source: Path) -> None:
    await _account(ports, max_open_files=1)
    file_id = await _in_state(ports, await _prepare(api, source), FileState.CANCELLED)
    await _prepare(api, source)
    assert _refusal(await api.http.post(f"/files/{file_id}/retry")) == (429, "too_many_open_files")
    assert "At most 1 files" in (await api.http.post(f"/files/{file_id}/retry")).json()["detail"]


@pytest.mark.parametrize("path", ["/upload/prepare", "/files/{file_id}/retry"])
async def test_both_refusals_are_documented(api: Api, path: str) -> None:
    responses = (await api.http.get("/openapi.json")).json()["paths"][path]["post"]["responses"]
    for status in ("429", "507"):
        assert "application/problem+json" in responses[status]["content"]

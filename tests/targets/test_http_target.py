"""Tests of the plain HTTP target alone, and of failures of HTTP."""

import base64
import hashlib
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from gridhaul.outgoing.http_client import make_client
from gridhaul.targets.http import HttpTarget, repr_digest
from gridhaul.targets.http_session import HttpSession
from gridhaul.transfer.errors import GridhaulError, OutcomeUnknown, TargetRefused, TargetUnavailable
from gridhaul.transfer.inspection import inspect, not_shown
from gridhaul.transfer.model import Evidence, RemoteObject
from tests.folders import NewFolder
from tests.servers.canned import canned_answer
from tests.servers.http_store import HttpStore, http_store
from tests.targets.blocks import MIB, SomeBlocks, untold

DATA = b"data"
SHA256 = hashlib.sha256(DATA)
LARGE = bytes(20 * MIB)
ENCODED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndata"


@pytest.fixture(scope="module")
def running(new_folder: NewFolder) -> Iterator[HttpStore]:
    with new_folder("store") as folder, http_store(folder) as store:
        yield store


@pytest.fixture
def store(running: HttpStore) -> Iterator[HttpStore]:
    yield running
    running.write_only = False
    running.answers.clear()


@asynccontextmanager
async def target_at(url: str, authorization: str | None = None) -> AsyncIterator[HttpTarget]:
    session = HttpSession(make_client(), url=url, authorization=authorization)
    target = HttpTarget(name="web", session=session, repr_digest=True)
    yield target
    await target.close()


@pytest.fixture
async def target(store: HttpStore) -> AsyncIterator[HttpTarget]:
    async with target_at(store.url) as found:
        yield found


async def put(target: HttpTarget, data: bytes) -> None:
    await target.put("run.bin", SomeBlocks(data), length=len(data), leaving=untold)


async def test_what_a_write_only_target_holds_is_not_known(store: HttpStore, target: HttpTarget) -> None:
    store.write_only = True
    await put(target, DATA)
    with pytest.raises(OutcomeUnknown):
        await target.find("run.bin", length=4)


@pytest.mark.parametrize("status", [405, 501])
async def test_what_cannot_be_read_back_is_not_known(store: HttpStore, target: HttpTarget, status: int) -> None:
    store.answers = [(200, {"Content-Length": "4"}), (status, {})]
    found = await inspect(target, "run.bin", length=4, sha256=SHA256.hexdigest(), checked=not_shown)
    assert found == RemoteObject(length=4, sha256="", evidence=Evidence.SIZE)
    store.answers = [(status, {})]
    with pytest.raises(OutcomeUnknown):
        await target.read_back("run.bin", length=4, sha256=SHA256.hexdigest(), checked=not_shown)


@pytest.mark.parametrize("status", [404, 410])
async def test_gone_is_none(store: HttpStore, target: HttpTarget, status: int) -> None:
    store.answers = [(status, {})]
    assert await target.find("run.bin", length=4) is None


@pytest.mark.parametrize("status", [403, 404, 405, 410, 501])
async def test_remove_leaves_what_it_may_not_remove(store: HttpStore, target: HttpTarget, status: int) -> None:
    store.answers = [(status, {})]
    await target.remove("run.bin")
    assert not store.answers


@pytest.mark.parametrize(("status", "error"), [(413, TargetRefused), (507, TargetUnavailable), (202, TargetRefused)])
async def test_refused_put(store: HttpStore, target: HttpTarget, status: int, error: type[GridhaulError]) -> None:
    store.answers = [(status, {})]
    with pytest.raises(error):
        await put(target, DATA)


async def test_retry_after_reaches_the_caller(store: HttpStore, target: HttpTarget) -> None:
    store.answers = [(503, {"Retry-After": "7"})]
    with pytest.raises(TargetUnavailable) as caught:
        await put(target, DATA)
    assert caught.value.retry_after_seconds == 7


async def test_unusable_digest_is_not_believed(store: HttpStore, target: HttpTarget) -> None:
    await put(target, DATA)
    store.answers = [(200, {"Content-Length": "4", "Repr-Digest": "sha-256=:AAAA:"})]
    found = await inspect(target, "run.bin", length=4, sha256=SHA256.hexdigest(), checked=not_shown)
    assert found is not None
    assert (found.sha256, found.evidence) == (SHA256.hexdigest(), Evidence.READ_BACK)


async def test_without_a_length_the_object_is_read_no_further_than_needed() -> None:
    body = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + bytes(3 * MIB)
    with canned_answer(body, reads_on=True) as url:
        async with target_at(url) as target:
            found = await inspect(target, "run.bin", length=5, sha256="", checked=not_shown)
    assert found is not None
    assert (found.length or 0) > 5
    assert found.sha256 == ""


@pytest.mark.parametrize(("length", "sha256"), [(4, "0" * 64), (3, SHA256.hexdigest()), (9, SHA256.hexdigest())])
async def test_encoded_object_with_other_bytes_is_not_known(length: int, sha256: str) -> None:
    with canned_answer(ENCODED, reads_on=True) as url:
        async with target_at(url) as target:
            with pytest.raises(OutcomeUnknown):
                await target.read_back("run.bin", length=length, sha256=sha256, checked=not_shown)


async def test_encoded_object_with_the_expected_bytes_is_only_labelled_as_encoded() -> None:
    with canned_answer(ENCODED, reads_on=True) as url:
        async with target_at(url) as target:
            found = await target.read_back("run.bin", length=4, sha256=SHA256.hexdigest(), checked=not_shown)
    assert found == RemoteObject(length=4, sha256=SHA256.hexdigest(), evidence=Evidence.READ_BACK)


@pytest.mark.parametrize(
    ("status", "error"), [(b"401 No", TargetRefused), (b"413 Large", TargetRefused), (b"507 Full", TargetUnavailable)]
)
async def test_early_answer_is_seen_when_the_server_reads_on(status: bytes, error: type[GridhaulError]) -> None:
    answer = b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
    with canned_answer(answer, reads_on=True) as url:
        async with target_at(url) as target:
            with pytest.raises(error, match=status[:3].decode()):
                await put(target, LARGE)


@pytest.mark.parametrize(
    ("status", "error"), [(b"401 No", TargetRefused), (b"413 Large", GridhaulError), (b"507 Full", TargetUnavailable)]
)
async def test_early_answer_and_close_is_an_error(status: bytes, error: type[GridhaulError]) -> None:
    answer = b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
    with canned_answer(answer, reads_on=False) as url:
        async with target_at(url) as target:
            with pytest.raises(error):
                await put(target, LARGE)


async def test_success_before_all_bytes_is_none() -> None:
    answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with canned_answer(answer, reads_on=False) as url:
        async with target_at(url) as target:
            with pytest.raises(TargetUnavailable):
                await put(target, LARGE)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_broken_answer_is_unavailable(answer: bytes) -> None:
    with canned_answer(answer, reads_on=True) as url:
        async with target_at(url) as target:
            with pytest.raises(TargetUnavailable):
                await target.remove("run.bin")
            with pytest.raises(TargetUnavailable):
                await put(target, DATA)


async def test_header_that_cannot_be_sent_is_not_shown(store: HttpStore) -> None:
    async with target_at(store.url, "Bearer s3cret\nX: y") as target:
        with pytest.raises(TargetUnavailable) as caught:
            await target.find("run.bin", length=4)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


async def test_large_answer_is_not_read_to_its_end() -> None:
    endless = b"HTTP/1.1 404 Gone\r\nContent-Length: %d\r\n\r\n" % (1 << 40) + bytes(MIB)
    with canned_answer(endless, reads_on=True) as url:
        async with target_at(url) as target:
            await target.remove("run.bin")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"sha-256=:{base64.b64encode(SHA256.digest()).decode()}:", SHA256.hexdigest()),
        (f"sha-512=:AAAA:, sha-256=:{base64.b64encode(SHA256.digest()).decode()}:", SHA256.hexdigest()),
        ("sha-512=:AAAA:", None),
        ("sha-256=:AAAA:", None),
        ("sha-256=(:AAAA: :AAAA:)", None),
        ("sha-256", None),
        ('sha-256="text"', None),
        ("sha-256=:", None),
        ("", None),
        ("größe", None),
    ],
)
def test_repr_digest(value: str, expected: str | None) -> None:
    assert repr_digest({"Repr-Digest": value}) == expected

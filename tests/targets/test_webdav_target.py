"""Tests of the WebDAV target alone, against a server that gives the answers of each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from gridhaul.outgoing.http_client import make_client
from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.webdav import WebDavTarget
from gridhaul.transfer.errors import NotFound, TargetLocked, TargetRefused, TargetUnavailable
from gridhaul.transfer.model import Evidence
from tests.servers.http_store import HttpStore, http_store
from tests.targets.peers import SomeBlocks, untold


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpStore]:
    with http_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def store(running: HttpStore) -> Iterator[HttpStore]:
    running.requests.clear()
    yield running
    running.answers.clear()


@pytest.fixture
async def target(store: HttpStore) -> AsyncIterator[WebDavTarget]:
    session = HttpSession(make_client(), url=f"{store.url}/dav/", authorization=None)
    found = WebDavTarget(name="remote", session=session, etag_digest="sha-256")
    yield found
    await found.close()


async def put(target: WebDavTarget, name: str) -> None:
    await target.put(name, SomeBlocks(b"data"), length=4, leaving=untold)


async def test_each_folder_is_made_once_and_before_the_body(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(201, {}), (405, {}), (201, {}), (201, {})]
    await put(target, "a b/c/1.bin")
    await put(target, "a b/c/2.bin")
    assert store.requests == [
        "MKCOL /dav/a%20b/",
        "MKCOL /dav/a%20b/c/",
        "PUT /dav/a%20b/c/1.bin",
        "PUT /dav/a%20b/c/2.bin",
    ]


@pytest.mark.parametrize("status", [404, 409])
async def test_folder_that_has_gone_is_made_at_the_next_attempt(
    store: HttpStore, target: WebDavTarget, status: int
) -> None:
    store.answers = [(201, {}), (status, {}), (201, {}), (201, {})]
    with pytest.raises(TargetUnavailable):
        await put(target, "a/1.bin")
    await put(target, "a/1.bin")
    assert [line.split()[0] for line in store.requests] == ["MKCOL", "PUT", "MKCOL", "PUT"]


async def test_place_that_does_not_exist_is_refused(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(409, {}), (409, {})]
    with pytest.raises(TargetRefused):
        await put(target, "1.bin")
    with pytest.raises(TargetRefused):
        await put(target, "a/1.bin")


@pytest.mark.parametrize("etag", ['W/"%s"', "%s", '"%s-2"'])
async def test_etag_that_is_no_digest_is_not_believed(store: HttpStore, target: WebDavTarget, etag: str) -> None:
    store.answers = [(201, {})]
    await put(target, "a/1.bin")
    store.answers = [(200, {"Content-Length": "4", "ETag": etag % ("0" * 64)})]
    found = await target.inspect("a/1.bin", length=4)
    assert found is not None
    assert found.evidence is Evidence.READ_BACK


async def test_locked_object_is_tried_again(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(423, {"Retry-After": "3"}), (207, {})]
    with pytest.raises(TargetRefused, match="does not speak WebDAV"):
        await target.commit("x.part", "1.bin")
    store.answers = [(423, {})]
    with pytest.raises(TargetLocked):
        await target.remove("1.bin")


async def test_forbidden_move_of_what_is_gone_is_not_found(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(403, {}), (404, {})]
    with pytest.raises(NotFound):
        await target.commit("x.part", "1.bin")
    assert [line.split()[0] for line in store.requests] == ["MOVE", "PROPFIND"]


async def test_partly_failed_move_is_no_commit(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(207, {}), (404, {})]
    with pytest.raises(NotFound):
        await target.commit("x.part", "1.bin")

"""Tests of the WebDAV target alone, against a server that gives the answers of each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from gridhaul.outgoing.http_client import make_client
from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.webdav.target import WebDavTarget
from gridhaul.transfer.errors import (
    NotAnObject,
    NotFound,
    ObjectExists,
    TargetFull,
    TargetLocked,
    TargetRefused,
    TargetUnavailable,
)
from gridhaul.transfer.model import Evidence, RemoteObject
from gridhaul.transfer.ports.targets import Facts
from tests.folders import NewFolder
from tests.servers.http_store import CannedAnswer, HttpStore, http_store
from tests.targets.deliveries import may_write, stage_of, written


@pytest.fixture(scope="module")
def running(new_folder: NewFolder) -> Iterator[HttpStore]:
    with new_folder("store") as folder, http_store(folder) as store:
        yield store


@pytest.fixture
def store(running: HttpStore) -> Iterator[HttpStore]:
    running.requests.clear()
    yield running
    running.answers.clear()


@pytest.fixture
async def target(store: HttpStore) -> AsyncIterator[WebDavTarget]:
    url = f"{store.url}/dav"
    session = HttpSession(make_client(), url=url, authorization=None)
    found = WebDavTarget(
        name="remote", session=session, username=None, etag_digest="sha-256", destination_bases=(url, "/dav")
    )
    yield found
    await found.close()


def told(properties: str, status: str = "200 OK") -> CannedAnswer:
    """Return the answer to PROPFIND for an entry with the properties."""
    prop = f"<propstat><prop>{properties}</prop><status>HTTP/1.1 {status}</status></propstat>"
    return 207, {}, f'<multistatus xmlns="DAV:"><response><href>/x</href>{prop}</response></multistatus>'.encode()


FOLDER = told("<resourcetype><collection/></resourcetype>")
OBJECT = told("<resourcetype/><getcontentlength>4</getcontentlength>")
GONE: CannedAnswer = (404, {})
FACTS = {
    "propfind": True,
    "destination": "/dav",
    "tags": True,
    "lost": list[str](),
    "exclusive": True,
    "free_space": False,
    "resumable": False,
}


def methods(store: HttpStore) -> list[str]:
    return [line.split()[0] for line in store.requests]


async def put(target: WebDavTarget, name: str) -> None:
    await written(target, "run.bin", b"data", name=name)


async def test_each_folder_is_made_once_and_before_the_body(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(201, {}), (405, {}), FOLDER, (201, {}), (201, {})]
    await put(target, "a b/c/1.bin")
    await put(target, "a b/c/2.bin")
    assert store.requests == [
        "MKCOL /dav/a%20b/",
        "MKCOL /dav/a%20b/c/",
        "PROPFIND /dav/a%20b/c",
        "PUT /dav/a%20b/c/1.bin",
        "PUT /dav/a%20b/c/2.bin",
    ]


@pytest.mark.parametrize("status", [404, 409, 500])
async def test_folder_that_has_gone_is_made_at_the_next_attempt(
    store: HttpStore, target: WebDavTarget, status: int
) -> None:
    store.answers = [(201, {}), (status, {}), (404, {}), (201, {}), (201, {})]
    with pytest.raises(TargetUnavailable):
        await put(target, "a/1.bin")
    store.answers = [(201, {}), (201, {})]
    store.requests.clear()
    await put(target, "a/1.bin")
    assert methods(store) == ["MKCOL", "PUT"]


async def test_known_folder_that_has_gone_is_made_again_for_a_folder_below_it(
    store: HttpStore, target: WebDavTarget
) -> None:
    store.answers = [(201, {}), (201, {}), (409, {}), GONE, (201, {}), (201, {}), (201, {})]
    await put(target, "2026/1.bin")
    await put(target, "2026/08/2.bin")
    assert store.requests[2:] == [
        "MKCOL /dav/2026/08/",
        "PROPFIND /dav/2026/08",
        "MKCOL /dav/2026/",
        "MKCOL /dav/2026/08/",
        "PUT /dav/2026/08/2.bin",
    ]


@pytest.mark.parametrize("status", [400, 405, 409])
async def test_file_where_a_folder_is_needed_is_named(store: HttpStore, target: WebDavTarget, status: int) -> None:
    store.answers = [(status, {}), OBJECT]
    with pytest.raises(TargetRefused, match="has a file under 'a', where a folder is needed"):
        await put(target, "a/1.bin")
    assert "PUT" not in methods(store)


@pytest.mark.parametrize("status", [400, 403, 409])
async def test_file_above_a_name_is_named(store: HttpStore, target: WebDavTarget, status: int) -> None:
    store.answers = [(status, {}), FOLDER, OBJECT]
    with pytest.raises(TargetRefused, match="has a file under 'a/b', where a folder is needed"):
        await target.find("a/b/1.bin", length=4)


async def test_refused_question_below_a_folder_stays_refused(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(403, {}), FOLDER]
    with pytest.raises(TargetRefused, match="check its credentials"):
        await target.find("a/1.bin", length=4)


@pytest.mark.parametrize(
    "answer",
    [FOLDER, (301, {"Location": "/dav/r%C3%BCn"}), (301, {"Location": "http://elsewhere/dav/r%c3%bcn/"})],
    ids=["property", "elsewhere", "folder"],
)
async def test_folder_under_the_name(store: HttpStore, target: WebDavTarget, answer: CannedAnswer) -> None:
    store.answers = [answer]
    is_folder = answer[0] == 207 or answer[1]["Location"].endswith("/")
    with pytest.raises(NotAnObject if is_folder else TargetRefused) as caught:
        await target.find("rün", length=4)
    assert ("folder" in caught.value.detail) == is_folder


async def test_place_that_does_not_exist_is_not_taken_for_a_folder(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(409, {}), GONE]
    with pytest.raises(TargetRefused):
        await put(target, "1.bin")
    store.answers = [(409, {}), GONE] * 2
    with pytest.raises(TargetUnavailable):
        await put(target, "a/1.bin")


@pytest.mark.parametrize("etag", ['W/"%s"', "%s", '"%s-2"'])
async def test_etag_that_is_no_digest_is_not_believed(store: HttpStore, target: WebDavTarget, etag: str) -> None:
    store.answers = [OBJECT, (200, {"Content-Length": "4", "ETag": etag % ("0" * 64)})]
    assert await target.find("a/1.bin", length=4) == RemoteObject(length=4, sha256="", evidence=Evidence.SIZE)


async def test_length_is_the_property_and_not_that_of_another_form(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [OBJECT, (200, {"Content-Length": "999"})]
    found = await target.find("1.bin", length=4)
    assert found is not None
    assert found.length == 4


@pytest.mark.parametrize("status", [405, 403])
async def test_server_without_propfind_is_asked_by_head(store: HttpStore, target: WebDavTarget, status: int) -> None:
    target.rely_on(FACTS | {"propfind": False})
    store.answers = [(200, {"Content-Length": "4"}), (404, {}), (200, {}), (200, {}), (404, {}), (status, {})]
    assert await target.find("1.bin", length=4) == RemoteObject(length=4, sha256="", evidence=Evidence.SIZE)
    with pytest.raises(TargetRefused, match=str(status)):
        await target.remove("1.bin")
    assert methods(store) == ["HEAD", "HEAD", "HEAD", "HEAD", "HEAD", "DELETE"]


@pytest.mark.parametrize("status", [405, 501])
async def test_refused_propfind_is_not_replaced_by_head(store: HttpStore, target: WebDavTarget, status: int) -> None:
    store.answers = [(status, {})]
    with pytest.raises(TargetUnavailable, match="refuses PROPFIND"):
        await target.remove("1.bin")
    assert methods(store) == ["PROPFIND"]


@pytest.mark.parametrize("answers", [[(301, {"Location": "/dav/a/"})], [(200, {}), (200, {})]], ids=["301", "200"])
async def test_folder_is_never_removed_without_propfind(
    store: HttpStore, target: WebDavTarget, answers: list[CannedAnswer]
) -> None:
    target.rely_on(FACTS | {"propfind": False})
    store.answers = answers
    with pytest.raises(NotAnObject):
        await target.remove("a")
    assert "DELETE" not in methods(store)


async def test_locked_object_is_tried_again(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [GONE, (423, {"Retry-After": "3"}), OBJECT]
    with pytest.raises(TargetLocked):
        await target.commit(stage_of("1.bin", name="x.part"))
    store.answers = [(423, {})]
    with pytest.raises(TargetLocked):
        await target.remove("1.bin")


@pytest.mark.parametrize("status", [403, 207])
async def test_refused_move_of_what_is_gone_is_not_found(store: HttpStore, target: WebDavTarget, status: int) -> None:
    store.answers = [GONE, (status, {}), GONE]
    with pytest.raises(NotFound):
        await target.commit(stage_of("1.bin", name="x.part"))
    assert methods(store) == ["PROPFIND", "MOVE", "PROPFIND"]


async def test_object_is_not_moved_into_a_folder_that_has_its_name(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [FOLDER]
    with pytest.raises(ObjectExists):
        await target.commit(stage_of("a", name="x.part"))
    assert "MOVE" not in methods(store)


async def test_full_server_that_tells_its_free_space_is_full(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(500, {}), told("<quota-available-bytes>3</quota-available-bytes>")]
    with pytest.raises(TargetFull, match="3 bytes are free, and the object needs 4"):
        await put(target, "1.bin")


@pytest.mark.parametrize("free", ["4", "-1", "", "many", "9" * 30])
async def test_server_with_enough_or_unknown_space_is_not_full(
    store: HttpStore, target: WebDavTarget, free: str
) -> None:
    store.answers = [(500, {}), told(f"<quota-available-bytes>{free}</quota-available-bytes>")]
    with pytest.raises(TargetUnavailable) as caught:
        await put(target, "1.bin")
    assert not isinstance(caught.value, TargetFull)


@pytest.mark.parametrize("status", [405, 507])
async def test_answers_of_full_servers_are_full(store: HttpStore, target: WebDavTarget, status: int) -> None:
    store.answers = [(status, {}), (404, {})]
    with pytest.raises(TargetFull, match=str(status)):
        await put(target, "1.bin")


async def test_refused_move_asks_for_a_new_probe(store: HttpStore, target: WebDavTarget) -> None:
    target.rely_on(FACTS)
    store.answers = [GONE, (502, {}), OBJECT]
    with pytest.raises(TargetUnavailable):
        await target.commit(stage_of("1.bin", name="x.part"))
    assert target.facts_outdated


@pytest.mark.parametrize("name", ["a?b.bin", "a?b/c.bin"])
async def test_name_that_the_server_loses_is_refused_without_a_request(
    store: HttpStore, target: WebDavTarget, name: str
) -> None:
    target.rely_on(FACTS | {"lost": ["the character '?'"]})
    with pytest.raises(TargetRefused, match="loses the character '\\?'"):
        await target.find(name, length=4)
    with pytest.raises(TargetRefused, match="loses the character '\\?'"):
        await target.commit(stage_of(name, name="x.part"))
    assert methods(store) in ([], ["PROPFIND"])


async def test_refused_question_for_the_digest_is_not_passed_over(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [OBJECT, (401, {})]
    with pytest.raises(TargetRefused):
        await target.find("1.bin", length=4)


@pytest.mark.parametrize(
    "facts",
    [{}, FACTS | {"lost": None}, FACTS | {"lost": [5]}, FACTS | {"propfind": 1}, FACTS | {"destination": "http://x"}],
)
async def test_facts_of_another_form_ask_for_a_probe(target: WebDavTarget, facts: Facts) -> None:
    assert not target.rely_on(facts)
    assert target.rely_on(FACTS)


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
async def test_properties_that_are_not_found_are_no_object(store: HttpStore, target: WebDavTarget, status: str) -> None:
    store.answers = [told("<resourcetype/>", status)]
    assert await target.find("1.bin", length=4) is None


@pytest.mark.parametrize(
    "body", [b"", b"<x", b"<multistatus xmlns='DAV:'/>", b'<?xml version="1.0" encoding="x-no"?><a/>']
)
async def test_body_that_tells_nothing_is_refused(store: HttpStore, target: WebDavTarget, body: bytes) -> None:
    store.answers = [(207, {}, body)]
    with pytest.raises(TargetRefused, match="does not speak WebDAV"):
        await target.find("1.bin", length=4)


async def test_refused_question_for_the_top_is_told_as_such(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(403, {})]
    with pytest.raises(TargetRefused, match="check its credentials"):
        await target.clear(".gridhaul-0123456789abcdef01234567-1~")


async def test_forbidden_object_of_a_full_quota_is_refused(store: HttpStore, target: WebDavTarget) -> None:
    store.answers = [(403, {}), told("<quota-available-bytes>0</quota-available-bytes>")]
    with pytest.raises(TargetRefused, match="credentials"):
        await put(target, "1.bin")


SCRATCH = ".gridhaul-0123456789abcdef01234567-1~"


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ([(403, {})] * 2, TargetRefused, "check its credentials"),
        ([FOLDER, FOLDER, OBJECT], TargetRefused, "objects that do not exist"),
        ([OBJECT] * 2, TargetRefused, "a file at its url"),
        ([GONE] * 2, TargetUnavailable, "no folder at its url"),
        ([(503, {})] * 2, TargetUnavailable, "503"),
    ],
)
async def test_server_that_cannot_be_used_is_told_before_the_probe_writes(
    store: HttpStore, target: WebDavTarget, answers: list[CannedAnswer], error: type[Exception], words: str
) -> None:
    async def must_not_write() -> None:
        raise AssertionError("the probe wanted to write")

    store.answers = answers
    with pytest.raises(error, match=words):
        await target.probe(SCRATCH, must_not_write)
    assert "PUT" not in methods(store)


async def test_server_that_copies_instead_of_renaming_is_refused(store: HttpStore, target: WebDavTarget) -> None:
    copied = [(201, {}), (201, {}), OBJECT, OBJECT]  # PUT, MOVE, both names hold the object
    store.answers = [FOLDER, FOLDER, GONE, *copied, *copied]
    with pytest.raises(TargetRefused, match="does not rename an object"):
        await target.probe(SCRATCH, may_write)


@pytest.mark.parametrize("refused", [2, 3])
async def test_propfind_must_be_refused_several_times_to_be_given_up(
    store: HttpStore, target: WebDavTarget, refused: int
) -> None:
    store.answers = [*[(405, {})] * refused, *[(503, {})] * 5]
    if refused < 3:
        store.answers[refused:refused] = [FOLDER, FOLDER]
    with pytest.raises(TargetUnavailable):
        await target.probe(SCRATCH, may_write)
    assert methods(store)[refused : refused + 2] == (["PROPFIND", "PROPFIND"] if refused < 3 else ["HEAD"])


@pytest.mark.parametrize("call", ["commit", "commit_unseen"])
async def test_server_that_replaces_is_asked_for_the_name_right_before_the_commit(
    store: HttpStore, target: WebDavTarget, call: str
) -> None:
    assert target.rely_on({**FACTS, "exclusive": False})
    store.answers = [OBJECT]
    with pytest.raises(ObjectExists):
        await getattr(target, call)(stage_of("run.bin", name="x.part"))
    store.answers = [GONE, (201, {})]
    await getattr(target, call)(stage_of("run.bin", name="x.part"))
    assert store.requests == ["PROPFIND /dav/run.bin", "PROPFIND /dav/run.bin", "MOVE /dav/x.part"]


async def test_exclusive_server_is_not_asked_twice(store: HttpStore, target: WebDavTarget) -> None:
    assert target.rely_on(FACTS)
    store.answers = [(201, {})]
    await target.commit_unseen(stage_of("run.bin", name="x.part"))
    assert store.requests == ["MOVE /dav/x.part"]

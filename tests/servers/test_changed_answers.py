"""The proxy's disturbances that answer something else than upstream, or in its place."""

from dataclasses import replace

import httpx2
import pytest

from tests.servers.disturbances import Answer, Asked, Change, Instead
from tests.servers.http_store import HttpStore
from tests.servers.proxy import NOTHING_BESIDE, Proxy

SCRATCH = ".gridhaul-0123456789abcdef01234567-1~a"


@pytest.fixture
def store(store: HttpStore) -> HttpStore:
    (store.directory / "x").write_bytes(b"data")
    return store


def told_length(by_bytes: int) -> Change:
    return Change(change=lambda answer: replace(answer, headers={"content-length": str(len(answer.body) + by_bytes)}))


def test_answer_is_changed_after_upstream_has_acted(store: HttpStore, proxy: Proxy) -> None:
    proxy.plan(Change(change=lambda _: Answer(status=200, body=b"other")), method="PUT")
    answer = httpx2.put(f"{proxy.url}/y", content=b"new", trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"other")
    assert (store.directory / "y").read_bytes() == b"new"


def test_answer_is_given_instead_and_upstream_gets_nothing(store: HttpStore, proxy: Proxy) -> None:
    def answer(asked: Asked) -> Answer:
        return Answer(status=201, body=asked.method.encode() + asked.target.encode() + asked.body)

    proxy.plan(Instead(answer=answer))
    assert httpx2.put(f"{proxy.url}/y", content=b"new", trust_env=False).content == b"PUT/ynew"
    assert store.requests == []


def test_length_may_be_told_too_short_or_too_long(proxy: Proxy) -> None:
    proxy.plan(told_length(-1), method="GET")
    assert httpx2.get(f"{proxy.url}/x", trust_env=False).content == b"dat"
    proxy.plan(told_length(1), method="GET")
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(f"{proxy.url}/x", trust_env=False)
    proxy.plan(told_length(9), method="HEAD")
    assert httpx2.head(f"{proxy.url}/x", trust_env=False).headers["content-length"] == "9"
    assert httpx2.get(f"{proxy.url}/x", trust_env=False).content == b"data"


def test_answer_to_head_has_no_body_and_the_connection_goes_on(proxy: Proxy) -> None:
    proxy.plan(Answer(status=403, body=b"why"), method="HEAD")
    with httpx2.Client(trust_env=False) as client:
        assert client.head(f"{proxy.url}/x").status_code == 403
        assert client.get(f"{proxy.url}/x").content == b"data"
    assert {seen.connection for seen in proxy.requests} == {1}


def test_probes_are_disturbed_only_if_nothing_is_beside(proxy: Proxy) -> None:
    planned = proxy.plan(Answer(status=418), times=2)
    assert httpx2.get(f"{proxy.url}/{SCRATCH}", trust_env=False).status_code == 404
    assert planned.hits == 0
    proxy.beside = NOTHING_BESIDE
    assert httpx2.get(f"{proxy.url}/{SCRATCH}", trust_env=False).status_code == 418

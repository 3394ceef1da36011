"""Answers that the chunk service did not write, and answers that it did: only its own say anything about contents."""

import json
from collections.abc import Awaitable, Callable, Iterator

import pytest

from gridhaul.chunk_service_client import chunk_client
from gridhaul.chunk_service_client.chunk_client import ChunkClient
from gridhaul.outgoing.http_client import make_client
from gridhaul.transfer import retry
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.digest import chunk_digest
from gridhaul.transfer.errors import (
    ChunkConflict,
    ChunkServiceFailed,
    ChunkServiceRefused,
    ChunkServiceUnavailable,
    ContentSealed,
    GridhaulError,
    LeaseLost,
    NotFound,
    SegmentDamaged,
    StateConflict,
    StorageFull,
)
from gridhaul.transfer.grants import ContentGrant, RepairGrant
from gridhaul.transfer.model import RecordId, Segment
from gridhaul.transfer.states import Layout
from tests.contracts.bytes_to_store import seal_of
from tests.servers.disturbances import Answer
from tests.servers.proxy import Proxy, proxying

CONTENT = RecordId("a" * 24)
GRANT, REPAIR = ContentGrant(content_id=CONTENT, fence=1), RepairGrant(content_id=CONTENT)
DATA, DIGEST, SEAL = b"abc", chunk_digest(b"abc"), seal_of(b"abc")
SEGMENT = Segment(first=0, chunks=(DATA,), digests=(DIGEST,))
WHOLE = WholeContent(
    id=CONTENT,
    fence=1,
    file_id=RecordId("b" * 24),
    filename="run.h5",
    content_type="application/x-hdf5",
    seal=SEAL,
    chunks=(DATA,),
    digests=(DIGEST,),
)
HTML, JSON, PROBLEM, BYTES = "text/html", "application/json", "application/problem+json", "application/octet-stream"

Call = Callable[[ChunkClient], Awaitable[object]]

CALLS: dict[str, Call] = {
    "digests": lambda client: client.digests(GRANT, first=0, count=2),
    "put": lambda client: client.put(GRANT, SEGMENT),
    "repair": lambda client: client.repair(REPAIR, 0, DATA, DIGEST),
    "store_whole": lambda client: client.store_whole([WHOLE]),
    "seal": lambda client: client.seal(GRANT, SEAL),
}


def answer(status: int, kind: str, body: object) -> Answer:
    text = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(status=status, headers={"Content-Type": kind} if kind else {}, body=text)


def problem(status: int, code: str, detail: str = "Why.") -> Answer:
    return answer(status, PROBLEM, {"status": status, "code": code, "detail": detail})


FOREIGN: dict[str, Answer] = {
    **{f"{status} page": answer(status, HTML, "<h1>hello</h1>") for status in (200, 201, 301, 308, 400, 401, 403, 404)},
    **{f"{status} page": answer(status, HTML, "<h1>hello</h1>") for status in (405, 409, 410, 413, 416, 422, 429, 503)},
    "200 of another service": answer(200, JSON, {"status": "ok"}),
    "200 list": answer(200, JSON, []),
    "200 text of the length of two digests": answer(200, HTML, b"x" * 66),
    "200 bytes of the length of two digests": answer(200, BYTES, b"x" * 66),
    "200 bytes of a part of a digest": answer(200, BYTES, bytes(32)),
    "200 bytes of too many digests": answer(200, BYTES, bytes(99)),
    "204": answer(204, "", b""),
    "404 of another framework": answer(404, JSON, {"detail": "Not Found"}),
    "404 that names a code, as plain JSON": answer(
        404, JSON, {"code": "content_unknown", "detail": "x", "status": 404}
    ),
    "404 of a wrong path": problem(404, "path_unknown"),
    "404 of an unknown kind": problem(404, "no_such_page"),
    "404 problem without code": answer(404, PROBLEM, {"title": "Not Found", "status": 404, "detail": "x"}),
    "404 problem that is no JSON": answer(404, PROBLEM, "<h1>"),
    "409 problem of another status": answer(409, PROBLEM, {"status": 410, "code": "stale_fence", "detail": "x"}),
    "401 of a proxy": answer(401, JSON, {"code": "unauthorized", "detail": "x", "status": 401}),
}


@pytest.fixture
def service() -> Iterator[Proxy]:
    """Yield a proxy in the place of the chunk service: it plays the answers that a test plans."""
    with proxying("127.0.0.1", 9) as proxy:
        yield proxy


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the client repeat nothing."""
    monkeypatch.setattr(chunk_client, "KEEP_TRYING_SECONDS", 0.0)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the client repeat requests without a wait."""
    monkeypatch.setattr(retry, "BASE_SECONDS", 0.0)


async def ask(service: Proxy, call: Call) -> object:
    async with make_client() as http:
        return await call(ChunkClient(http, base_url=service.url, secret="x" * 40))


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_answer_of_something_else_says_that_the_service_was_not_reached(
    service: Proxy, call: Call, foreign: Answer
) -> None:
    service.plan(foreign)
    with pytest.raises(ChunkServiceUnavailable) as caught:
        await ask(service, call)
    assert f"status {foreign.status} " in caught.value.detail
    assert "GRIDHAUL_CHUNK_SERVICE_URL" in caught.value.detail


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize("status", [500, 502, 504, 507])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_failure_of_a_proxy_counts_as_a_failure_of_the_service(service: Proxy, call: Call, status: int) -> None:
    service.plan(answer(status, HTML, "<h1>Bad Gateway</h1>"))
    with pytest.raises(ChunkServiceFailed, match=rf"status {status} .*GRIDHAUL_CHUNK_SERVICE_URL"):
        await ask(service, call)


GOOD: dict[str, tuple[Answer, object]] = {
    "digests": (answer(200, BYTES, bytes(33) + b"\x01" + DIGEST), bytes(33) + b"\x01" + DIGEST),
    "put": (answer(201, JSON, None), None),
    "repair": (answer(200, JSON, None), None),
    "store_whole": (answer(200, JSON, {"stored": {CONTENT: "gridfs"}}), {CONTENT: Layout.GRIDFS}),
    "seal": (answer(200, JSON, {"layout": "inline"}), Layout.INLINE),
}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("name", CALLS)
async def test_request_is_repeated_until_the_service_itself_answers(service: Proxy, name: str) -> None:
    good, expected = GOOD[name]
    for foreign in (answer(404, HTML, "default backend"), answer(200, HTML, "hello"), answer(302, HTML, ""), good):
        service.plan(foreign)
    assert await ask(service, CALLS[name]) == expected
    assert len(service.requests) == 4


MEANINGS: list[tuple[str, Answer, type[Exception]]] = [
    ("put", problem(409, "stale_fence"), LeaseLost),
    ("digests", problem(404, "content_unknown"), LeaseLost),
    ("seal", problem(404, "content_unknown"), LeaseLost),
    ("repair", problem(404, "content_unknown"), NotFound),
    ("repair", problem(409, "state_conflict"), StateConflict),
    ("put", problem(409, "chunk_conflict"), ChunkConflict),
    ("put", problem(409, "content_sealed"), ContentSealed),
    ("put", problem(422, "digest_mismatch"), SegmentDamaged),
    ("put", problem(507, "storage_full"), StorageFull),
    ("put", problem(401, "unauthorized"), ChunkServiceRefused),
    ("store_whole", problem(403, "forbidden"), ChunkServiceRefused),
    ("seal", problem(500, "internal"), ChunkServiceFailed),
]


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize(("name", "said", "error"), MEANINGS, ids=lambda value: getattr(value, "__name__", None))
async def test_problem_of_the_service_keeps_its_meaning(
    service: Proxy, name: str, said: Answer, error: type[Exception]
) -> None:
    service.plan(said)
    with pytest.raises(error) as caught:
        await ask(service, CALLS[name])
    assert type(caught.value) is error


@pytest.mark.usefixtures("once")
async def test_worker_with_a_wrong_clock_is_told_so_and_not_to_look_at_its_secret(service: Proxy) -> None:
    service.plan(problem(401, "clocks_differ", "The clocks of worker and chunk service differ by 30 minutes."))
    refused = await _refusal(service, CALLS["put"])
    assert (refused.code, refused.detail) == (
        "chunk_service_refused",
        "The clocks of worker and chunk service differ by 30 minutes.",
    )


async def _refusal(service: Proxy, call: Call) -> GridhaulError:
    with pytest.raises(GridhaulError) as caught:
        await ask(service, call)
    return caught.value

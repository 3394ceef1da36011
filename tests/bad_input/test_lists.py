"""Lists of paths and manifests that are no such thing, that stall, or that break off: refused, and nothing stays."""

import json

import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.peer import Peer
from tests.bad_input.strict import StrictApi
from tests.bad_input.table import INVALID, NOT_FOUND, Answer, Row, cases, trying
from tests.bad_input.test_broken_off import one_quiet_line, require_closed, require_refused_and_closed
from tests.journeys.operator import MIB

DIGEST = "ab" * 32
TEXT = {"Content-Type": "text/plain"}
MALFORMED = Answer(422, "manifest_invalid")
UNSUPPORTED = Answer(415, "unsupported_media_type")
LINE = f"{DIGEST}  {'x' * 100}\n".encode()


def list_of(token: str, *, length: int, sent: bytes) -> bytes:
    """Return a request with a list that breaks off."""
    lines = ["POST /lists?format=sha256sums HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
    lines += ["Content-Type: text/plain", f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode() + sent


def pages(bench: Bench) -> int:
    with bench.operator.database() as database:
        return int(database["list_pages"].count_documents({}))


@pytest.mark.parametrize(
    ("text", "answer"),
    cases(
        Row.DIGEST,
        MALFORMED,
        {
            "digest too short": f"{DIGEST[1:]}  a\n".encode(),
            "no name": f"{DIGEST}  \n".encode(),
            "binary": bytes(range(256)),
            "nothing": b"",
            "a line without an end": b"x" * (3 * MIB),
            "wrong after a page": LINE * 10_000 + b"wrong",
        },
    ),
)
def test_text_that_is_no_manifest_is_refused_and_nothing_stays(bench: Bench, text: bytes, answer: Answer) -> None:
    before = pages(bench)
    answer.require(bench.http.post("/lists", params={"format": "sha256sums"}, content=text, headers=TEXT))
    assert pages(bench) == before


@pytest.mark.parametrize(
    ("media_type", "answer"),
    cases(
        Row.TYPE, UNSUPPORTED, {"JSON": "application/json", "form": "application/x-www-form-urlencoded", "none": "x"}
    ),
)
def test_list_of_another_type_is_refused(bench: Bench, media_type: str, answer: Answer) -> None:
    headers = {"Content-Type": media_type}
    answer.require(bench.http.post("/lists", params={"format": "paths"}, content=b"/srv/a", headers=headers))


@pytest.mark.parametrize(
    ("list_id", "answer"), [*cases(Row.ID, INVALID, {"none": "x"}), *cases(Row.ID, NOT_FOUND, {"unknown": "e" * 24})]
)
def test_batch_of_no_list_is_refused(bench: Bench, list_id: str, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(bench.http.post("/batches", json={"list_id": list_id}))
        answer.require(bench.http.get(f"/lists/{list_id}"))


@trying(Row.BROKEN_OFF)
def test_client_that_leaves_within_a_list_stores_nothing(bench: Bench) -> None:
    token = bench.http.headers["Authorization"].removeprefix("Bearer ")
    before = pages(bench)
    with one_quiet_line(bench.system.data / "logs" / "api.log"):
        require_closed(bench.system.url, list_of(token, length=100 * MIB, sent=LINE * 20_000))
    assert pages(bench) == before


@trying(Row.BROKEN_OFF)
def test_client_that_stalls_within_a_list_is_refused(strict: StrictApi) -> None:
    require_refused_and_closed(strict.url, list_of(strict.token, length=100 * MIB, sent=LINE * 20_000))


def test_long_list_takes_little_memory(bench: Bench) -> None:
    peer = Peer.of(bench.system, "api")
    line = f"{DIGEST}  {'x' * 2000}\n".encode()
    with peer.without_traces(), peer.peak_memory_below(24 * MIB):
        response = bench.http.post(
            "/lists", params={"format": "sha256sums"}, content=(line * 50 for _ in range(600)), headers=TEXT
        )
    assert (response.status_code, response.json()["entries"]) == (201, 30_000)


@trying(Row.JSON)
def test_list_that_is_declared_too_long_is_refused_at_once(bench: Bench) -> None:
    peer = Peer.of(bench.system, "api")
    status, body = peer.ask(list_of(peer.token, length=2**30 + 1, sent=LINE))
    assert (status, json.loads(body)["code"]) == (413, "payload_too_large")

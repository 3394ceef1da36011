"""Bad headers of an otherwise right request: used idempotency keys, bad ranges, and too many bytes of headers."""

import time

import httpx2
import pytest

from tests.bad_input.bench import LENGTH, Bench
from tests.bad_input.table import INVALID, Answer, Row, cases, trying
from tests.journeys.operator import Json

OTHER_BODIES: dict[str, Json] = {
    "path": {"file_path": "{root}/another.bin"},
    "name": {"file_path": "{path}", "name": "another-name.bin"},
    "target": {"file_path": "{path}", "deliver_to": {"target": "directory"}},
    "policy": {"file_path": "{path}", "if_changed": "restart"},
}
KEYS = {"space": "with a space", "no ASCII": "schl\u00fcssel", "256 bytes": "k" * 256}
IGNORED = {
    "9-0": "bytes=9-0",
    "nonsense": "bytes=nonsense",
    "another unit": "lines=1-2",
    "two ranges": "bytes=0-0,2-2",
    "2,500 ranges": "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(2500, 0, -1)),
}
BEYOND = {
    "-0": "bytes=-0",
    "past the end": f"bytes={LENGTH}-",
    "far past the end": f"bytes={2**63}-{2**64}",
    "30,000 digits": "bytes=" + "9" * 30_000 + "-",
    "4,000 ranges": "bytes=" + ",".join([f"{LENGTH}-"] * 4000),
}
OTHER_BYTES = {"If-Match": '"other"', "If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}
SOON_SECONDS = 5.0
TOO_LARGE = Answer(431, "headers_too_large")
CONTENT_DIFFERS = Answer(412, "content_differs")


@pytest.fixture(scope="module")
def key(bench: Bench) -> str:
    """Return an Idempotency-Key that was already used to prepare the bench's path."""
    (bench.root / "another.bin").write_bytes(b"x")
    answer = with_key(bench, "used-before", {"file_path": "{path}"})
    assert answer.status_code == 202
    bench.operator.stored(answer.json()["file_id"])
    return "used-before"


def with_key(bench: Bench, key: str, body: Json) -> httpx2.Response:
    filled = {name: bench.filled(value) if isinstance(value, str) else value for name, value in body.items()}
    return bench.http.post("/upload/prepare", json=filled, headers={b"Idempotency-Key": key.encode()})


@pytest.mark.parametrize(("body", "answer"), cases(Row.IDEMPOTENCY, Answer(422, "idempotency_conflict"), OTHER_BODIES))
def test_key_again_with_another_body_is_refused(bench: Bench, key: str, body: Json, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(with_key(bench, key, body))
        assert with_key(bench, key, {"file_path": "{path}"}).status_code == 202


@pytest.mark.parametrize(("key", "answer"), cases(Row.IDEMPOTENCY, INVALID, KEYS))
def test_key_that_is_none_is_refused(bench: Bench, key: str, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(with_key(bench, key, {"file_path": "{path}"}))


@trying(Row.RANGE)
@pytest.mark.parametrize("ranges", IGNORED.values(), ids=IGNORED)
def test_range_that_is_none_or_several_is_ignored(bench: Bench, ranges: str) -> None:
    response = asking_for(bench, ranges)
    assert (response.status_code, response.headers["Accept-Ranges"]) == (200, "bytes")
    assert response.content == bench.path.read_bytes()


@trying(Row.RANGE)
def test_many_ranges_that_overlap_are_one(bench: Bench) -> None:
    response = asking_for(bench, "bytes=" + ",".join(["0-0"] * 8000))
    assert (response.status_code, response.headers["Content-Range"]) == (206, f"bytes 0-0/{LENGTH}")
    assert response.content == bench.path.read_bytes()[:1]


@pytest.mark.parametrize(
    ("ranges", "answer"), cases(Row.RANGE, Answer(416, "range_not_satisfiable", ("Content-Range",)), BEYOND)
)
def test_range_past_the_end_is_refused(bench: Bench, ranges: str, answer: Answer) -> None:
    response = asking_for(bench, ranges)
    answer.require(response)
    assert response.headers["Content-Range"] == f"bytes */{LENGTH}"


@pytest.mark.parametrize("name", OTHER_BYTES)
def test_download_of_other_bytes_than_are_expected_is_refused(bench: Bench, name: str) -> None:
    headers = {name: OTHER_BYTES[name], "Range": "bytes=0-0"}
    CONTENT_DIFFERS.require(bench.http.get(f"/files/{bench.file_id}/content", headers=headers))


def asking_for(bench: Bench, ranges: str) -> httpx2.Response:
    asked_at = time.monotonic()
    response = bench.http.get(f"/files/{bench.file_id}/content", headers={"Range": ranges})
    assert time.monotonic() - asked_at < SOON_SECONDS
    return response


@trying(Row.RANGE)
@trying(Row.HEADERS)
def test_10000_ranges_are_more_than_is_read_of_headers(bench: Bench) -> None:
    ranges = "bytes=" + ",".join(["0-0"] * 10_000)
    TOO_LARGE.require(bench.http.get(f"/files/{bench.file_id}/content", headers={"Range": ranges}))


@trying(Row.HEADERS)
@pytest.mark.parametrize("headers", [{"X-One": "a" * 33_000}, {f"X-{n}": "a" * 100 for n in range(320)}])
def test_headers_over_32_kib_are_refused(bench: Bench, headers: dict[str, str]) -> None:
    for url in (f"{bench.system.url}/files", f"{bench.system.chunk_service_url}/contents/{'0' * 24}/digests"):
        TOO_LARGE.require(httpx2.get(url, headers=headers, trust_env=False))

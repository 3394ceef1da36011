"""Wrong chunks of an upload that takes them in any order, chunks again, and writers with an older fence."""

from collections.abc import Sequence

import pytest

from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.transfer.digest import chunk_digest, content_sha256
from tests.bad_input.bench import Bench
from tests.bad_input.table import INVALID, UNKNOWN_TARGET, WRONG_NUMBERS, Answer, Row, cases, trying
from tests.bad_input.uploads import Fields, Unordered, leave
from tests.journeys.operator import MIB, Json

CHUNK = b"a" * MIB
OTHER = b"b" * MIB
LAST = b"z" * 10
LENGTH = 2 * MIB + len(LAST)
MALFORMED = Answer(400, "malformed")
PAST = Answer(416, "chunk_out_of_range")
NO_LENGTH = Answer(422, "length_mismatch")
TOO_LARGE = Answer(413, "payload_too_large")
STALE = Answer(409, "stale_fence")
SEGMENTS = [
    *cases(Row.CHUNK, PAST, {"the next": (3, [LAST]), "over the end": (1, [CHUNK] * 3), "far": (2**31 - 1, [LAST])}),
    *cases(
        Row.SEGMENT,
        NO_LENGTH,
        {
            "empty": (0, []),
            "last chunk short": (2, [LAST[:-1]]),
            "last chunk long": (2, [LAST + b"z"]),
            "last chunk whole": (2, [CHUNK]),
            "last chunk in front": (1, [LAST]),
        },
    ),
    *cases(Row.SEGMENT, TOO_LARGE, {"16 MiB and 1": (0, [CHUNK] * 16 + [b"a"])}),
]
DIGESTS: list[tuple[Answer, dict[str, str | None]]] = [
    (Answer(400, "digest_required"), {"missing": None, "empty": ""}),
    (
        MALFORMED,
        {
            "nonsense": "surely, no digest",
            "hex": chunk_digest(CHUNK).hex(),
            "no base64": ":???????:",
            "of another algorithm": write_chunk_digests([b"x" * 64]),
            "with its name": "sha-256=:" + "A" * 43 + "=:",
        },
    ),
    (
        Answer(422, "digest_mismatch"),
        {
            "of other bytes": write_chunk_digests([chunk_digest(OTHER)]),
            "one too many": write_chunk_digests([chunk_digest(CHUNK)] * 2),
        },
    ),
]
BEGINNINGS: dict[str, tuple[Answer, Json]] = {
    "no length": (INVALID, {"name": "x"}),
    "length negative": (INVALID, {"name": "x", "length": -1}),
    "length a fraction": (INVALID, {"name": "x", "length": 1.5}),
    "length a text": (INVALID, {"name": "x", "length": "10"}),
    "length of 2^53": (INVALID, {"name": "x", "length": 2**53}),
    "length more than GridFS takes": (TOO_LARGE, {"name": "x", "length": 2**51 + 1}),
    "no name": (INVALID, {"length": 1}),
    "name above": (INVALID, {"name": "../x", "length": 1}),
    "name absolute": (INVALID, {"name": "/x", "length": 1}),
    "name with NUL": (INVALID, {"name": "a\x00b", "length": 1}),
    "name of 5,000 bytes": (INVALID, {"name": "x" * 5000, "length": 1}),
    "digest short": (INVALID, {"name": "x", "length": 1, "sha-256": "a" * 63}),
    "digest a number": (INVALID, {"name": "x", "length": 1, "sha-256": 5}),
    "unknown member": (INVALID, {"name": "x", "length": 1, "state": "STORED"}),
    "unknown target": (UNKNOWN_TARGET, {"name": "x", "length": 1, "deliver_to": {"target": "no-such-target"}}),
}


@pytest.fixture(scope="module")
def upload(bench: Bench) -> Unordered:
    """Return an upload of which no chunk is stored."""
    return Unordered.begin(bench.http, LENGTH)


@pytest.mark.parametrize(
    ("body", "answer"),
    [case for name, (answer, body) in BEGINNINGS.items() for case in cases(Row.SEGMENT, answer, {name: body})],
)
def test_upload_that_is_described_wrongly_does_not_begin(bench: Bench, body: Json, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(bench.http.post("/uploads/chunks", json=body))


@trying(Row.IDEMPOTENCY)
def test_key_again_with_another_upload_is_refused(bench: Bench) -> None:
    fields = {"Idempotency-Key": "used-for-an-upload"}
    first = bench.http.post("/uploads/chunks", json={"name": "x", "length": 1}, headers=fields)
    with bench.unchanged():
        again = bench.http.post("/uploads/chunks", json={"name": "x", "length": 1}, headers=fields)
        assert (again.status_code, again.headers["Location"]) == (201, first.headers["Location"])
        for body in ({"name": "x", "length": 2}, {"name": "y", "length": 1}):
            answer = bench.http.post("/uploads/chunks", json=body, headers=fields)
            Answer(422, "idempotency_conflict").require(answer)
    leave(bench, first.json()["file_id"])


@pytest.mark.parametrize(("number", "answer"), cases(Row.CHUNK, INVALID, WRONG_NUMBERS))
def test_number_of_no_chunk_is_refused(bench: Bench, upload: Unordered, number: str, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(upload.put(number, [CHUNK]))
        fields = {"Lease-Fence": str(upload.fence)}
        answer.require(upload.http.get(f"{upload.path}/digests?from={number}", headers=fields))
    assert upload.is_empty


@pytest.mark.parametrize(("segment", "answer"), SEGMENTS)
def test_segment_that_does_not_fit_is_refused(
    bench: Bench, upload: Unordered, segment: tuple[int, list[bytes]], answer: Answer
) -> None:
    with bench.unchanged():
        answer.require(upload.put(*segment))
    assert upload.is_empty


@trying(Row.SEGMENT)
def test_segment_without_a_length_is_refused(bench: Bench, upload: Unordered) -> None:
    fields = {"Lease-Fence": str(upload.fence), "Chunk-Digests": write_chunk_digests([chunk_digest(LAST)])}
    with bench.unchanged():
        response = bench.http.put(f"{upload.path}/chunks/2", content=iter([LAST]), headers=fields)
        Answer(411, "length_required").require(response)
    assert upload.is_empty


@pytest.mark.parametrize(
    ("digests", "answer"), [case for answer, texts in DIGESTS for case in cases(Row.DIGEST, answer, texts)]
)
def test_segment_without_its_digests_is_refused(
    bench: Bench, upload: Unordered, digests: str | None, answer: Answer
) -> None:
    with bench.unchanged():
        answer.require(upload.put(0, [CHUNK], {"Chunk-Digests": digests}))
    assert upload.is_empty


FENCES: dict[str, Fields] = {name: {"Lease-Fence": text} for name, text in {"earlier": "0", "later": "999"}.items()}
NO_FENCES: dict[str, Fields] = {
    name: {"Lease-Fence": text}
    for name, text in {"none": None, "negative": "-1", "word": "newest", "fraction": "1.5", "large": "9" * 30}.items()
}


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        *cases(Row.FENCE, STALE, {"later": FENCES["later"]}),
        *cases(Row.FENCE, INVALID, {**NO_FENCES, "zero": FENCES["earlier"]}),
    ],
)
def test_fence_that_hold_did_not_answer_is_refused(
    bench: Bench, upload: Unordered, changes: Fields, answer: Answer
) -> None:
    with bench.unchanged():
        answer.require(upload.put(0, [CHUNK], changes))
        answer.require(upload.complete({}, changes))
    assert upload.is_empty


@trying(Row.FENCE)
def test_client_whose_upload_was_taken_over_is_stale(bench: Bench) -> None:
    older = Unordered.begin(bench.http, LENGTH)
    assert older.put(0, [CHUNK]).status_code == 204
    newer = Unordered(http=bench.http, path=older.path, fence=bench.http.post(f"{older.path}/hold").json()["fence"])
    assert newer.fence > older.fence
    held = newer.digests()
    with bench.unchanged():
        for chunk in (CHUNK, OTHER):
            STALE.require(older.put(0, [chunk]))
            STALE.require(older.put(1, [chunk]))
        STALE.require(older.complete({}))
    assert newer.digests() == held
    leave(bench, older.file_id)


def stored(bench: Bench, chunks: Sequence[bytes]) -> Unordered:
    """Return an upload of these chunks, all of which are stored."""
    upload = Unordered.begin(bench.http, sum(map(len, chunks)))
    assert upload.put(0, chunks).status_code == 204
    return upload


@trying(Row.AGAIN)
def test_chunk_again_is_right_with_the_same_bytes_and_a_conflict_with_others(bench: Bench) -> None:
    upload = stored(bench, [CHUNK, CHUNK, LAST])
    held = upload.digests()
    with bench.unchanged():
        assert upload.put(1, [CHUNK]).status_code == 204
        assert upload.put(0, [CHUNK, CHUNK, LAST]).status_code == 204
        Answer(409, "chunk_conflict").require(upload.put(1, [OTHER]))
        Answer(409, "chunk_conflict").require(upload.put(0, [CHUNK, OTHER]))
    assert upload.digests() == held
    leave(bench, upload.file_id)


@trying(Row.AGAIN)
def test_chunk_after_the_file_is_stored_is_a_conflict(bench: Bench) -> None:
    upload = stored(bench, [CHUNK, LAST])
    assert upload.complete({}).json()["state"] == "STORED"
    with bench.unchanged():
        for chunk in (CHUNK, OTHER):
            Answer(409, "state_conflict").require(upload.put(0, [chunk]))
        Answer(409, "state_conflict").require(bench.http.post(f"{upload.path}/hold"))
        again = upload.complete({"sha-256": content_sha256(CHUNK + LAST)})
        assert (again.status_code, again.json()["state"]) == (200, "STORED")
    leave(bench, upload.file_id)


@trying(Row.FINALIZE)
def test_upload_that_lacks_chunks_is_not_complete(bench: Bench) -> None:
    upload = Unordered.begin(bench.http, LENGTH)
    assert upload.put(0, [CHUNK]).status_code == 204
    with bench.unchanged():
        Answer(409, "content_incomplete").require(upload.complete({}))
    assert upload.put(1, [CHUNK, LAST]).status_code == 204
    leave(bench, upload.file_id)


@pytest.mark.parametrize("body", [{"sha-256": "a" * 63}, {"sha-256": 5}, {"sha-256": "A" * 64}, {"sha-512": ""}, []])
@trying(Row.FINALIZE)
def test_digest_that_is_none_does_not_complete_an_upload(bench: Bench, upload: Unordered, body: Json) -> None:
    with bench.unchanged():
        INVALID.require(upload.complete(body))


@trying(Row.FINALIZE)
def test_upload_with_another_digest_than_its_client_names_fails(bench: Bench) -> None:
    upload = stored(bench, [CHUNK, LAST])
    answer = Answer(422, "upload_digest_mismatch")
    answer.require(upload.complete({"sha-256": content_sha256(OTHER + LAST)}))
    file = bench.http.get(f"/files/{upload.file_id}").json()
    assert (file["state"], file["error"]["code"]) == ("FAILED", "upload_digest_mismatch")
    with bench.unchanged():
        answer.require(upload.complete({}))
        answer.require(upload.put(0, [CHUNK]))
    leave(bench, upload.file_id)

"""Finalize with a wrong digest, too early, or repeated; and stopping files and deliveries that are over."""

import base64

import pytest

from gridhaul.outgoing.headers import write_repr_digest
from tests.bad_input.bench import Bench
from tests.bad_input.table import Answer, Row, cases, trying
from tests.journeys.operator import Json
from tests.journeys.test_quota import workers_held

DIRECTORY = {"target": "directory"}
NO_DIGEST = Answer(400, "digest_required")
MALFORMED = Answer(400, "malformed")
MISMATCH = Answer(422, "digest_mismatch")
NO_LENGTH = Answer(422, "length_mismatch")
TOO_EARLY = Answer(409, "not_stored", ("Retry-After",))
SHA512 = base64.b64encode(b"x" * 64).decode()
MISSING = {
    "missing": {"x-nothing": "x"},
    "empty": {"repr_digest": ""},
    "sha-512": {"repr_digest": f"sha-512=:{SHA512}:"},
    "unknown": {"repr_digest": "adler32=:AAAAAA==:"},
}
MALFORMED_DIGESTS = {
    "nonsense": {"repr_digest": "???????"},
    "no bytes": {"repr_digest": "sha-256=1234567"},
    "hex": {"repr_digest": "sha-256=" + "a" * 64},
    "short": {"repr_digest": "sha-256=:AAAAAA==:"},
    "of sha-512": {"repr_digest": f"sha-256=:{SHA512}:"},
    "no hex": {"content_sha256": "g" * 64},
    "hex too short": {"content_sha256": "a" * 63},
    "hex too long": {"content_sha256": "a" * 65},
    "empty hex": {"content_sha256": ""},
}
WRONG = {
    "in hex": {"content_sha256": "a" * 64},
    "in bytes": {"repr_digest": write_repr_digest("a" * 64)},
    "two that differ": {"repr_digest": write_repr_digest("a" * 64), "content_sha256": "b" * 64},
}
DIGESTS = [(NO_DIGEST, MISSING), (MALFORMED, MALFORMED_DIGESTS), (MISMATCH, WRONG)]


@pytest.mark.parametrize(
    ("headers", "answer"),
    [
        case
        for row, digests in ((Row.DIGEST, DIGESTS), (Row.FINALIZE, [(NO_DIGEST, MISSING), (MISMATCH, WRONG)]))
        for answer, inputs in digests
        for case in cases(row, answer, inputs)
    ],
)
def test_finalize_without_the_right_digest_delivers_nothing(
    bench: Bench, headers: dict[str, str], answer: Answer
) -> None:
    with bench.unchanged():
        answer.require(bench.finalize({**DIRECTORY, "object_name": "bad-input/other.bin"}, **headers))


@pytest.mark.parametrize(
    ("length", "answer"), cases(Row.FINALIZE, NO_LENGTH, {"short": 99_999, "long": 100_001, "zero": 0, "huge": 2**52})
)
def test_finalize_of_another_length_delivers_nothing(bench: Bench, length: int, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(bench.finalize({**DIRECTORY, "object_name": "bad-input/other.bin", "length": length}))


@trying(Row.FINALIZE)
def test_finalize_before_the_file_is_stored_is_told_when_to_come_again(bench: Bench) -> None:
    with workers_held(bench.system):
        file_id = bench.prepare(str(bench.path)).json()["file_id"]
        with bench.unchanged():
            TOO_EARLY.require(bench.finalize(DIRECTORY, file_id=file_id))
    bench.operator.stored(file_id)


@trying(Row.FINALIZE)
def test_finalize_again_is_the_same_delivery_and_with_other_options_a_conflict(bench: Bench) -> None:
    body: Json = {"target": "webdav", "object_name": "bad-input/again.bin"}
    first = bench.finalize(body)
    assert first.status_code == 202
    bench.operator.delivered(bench.file_id, to="webdav")
    repeated = bench.finalize(body)
    assert (repeated.status_code, repeated.json()["delivery_id"]) == (200, first.json()["delivery_id"])
    Answer(409, "options_conflict").require(bench.finalize(body | {"if_exists": "overwrite"}))
    names = [one["object_name"] for one in bench.operator.deliveries(bench.file_id)]
    assert names.count(body["object_name"]) == 1


STOPS = ("cancel", "pause", "resume")
OVER = {f"{action} {kind}": (kind, action) for kind in ("files", "deliveries") for action in STOPS}


@pytest.mark.parametrize(("call", "answer"), cases(Row.LATE, Answer(409, "state_conflict"), OVER))
def test_what_is_over_can_not_be_stopped(bench: Bench, call: tuple[str, str], answer: Answer) -> None:
    kind, action = call
    record_id = {"files": bench.file_id, "deliveries": bench.delivery_id}[kind]
    with bench.unchanged():
        answer.require(bench.http.post(f"/{kind}/{record_id}/{action}"))

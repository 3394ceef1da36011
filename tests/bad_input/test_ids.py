"""Malformed ids, and well-formed ids of no record."""

import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.table import INVALID, NOT_FOUND, Answer, Row, cases
from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.operator import MIB

NONE = {
    "word": "nonsense",
    "short": "0" * 23,
    "long": "0" * 25,
    "upper case": "A" * 24,
    "no hex": "g" * 24,
    "other digits": "\u0661" * 24,
    "newline at the end": "0" * 24 + "%0A",
    "NUL": "%00" * 24,
    "operator": "[$ne]=0000000",
    "5,000 digits": "0" * 5000,
}
CONTENT_UNKNOWN = Answer(404, "content_unknown")  # other than the answer to a path that does not exist
UNKNOWN = {"zeros": "0" * 24, "ones": "f" * 24}
CALLS = {
    "GET": (
        *("/files/{id}", "/files/{id}/content", "/files/{id}/deliveries", "/files/{id}/events"),
        *("/deliveries/{id}", "/batches/{id}", "/batches/{id}/skipped", "/batches/{id}/sha256sums", "/lists/{id}"),
    ),
    "POST": (
        "/batches/{id}/start",
        *(
            f"/{kind}/{{id}}/{action}"
            for kind in ("files", "deliveries", "batches")
            for action in ("cancel", "pause", "resume", "retry")
        ),
    ),
    "DELETE": (
        *("/files/{id}", "/files/{id}?cancel=true", "/batches/{id}", "/batches/{id}?cancel=true"),
        *("/lists/{id}", "/keys/{id}"),
    ),
}
ADMIN_CALLS = {"GET": ("/checks/{id}",), "POST": ("/checks/{id}/cancel",)}


@pytest.mark.parametrize(("text", "answer"), [*cases(Row.ID, INVALID, NONE), *cases(Row.ID, NOT_FOUND, UNKNOWN)])
def test_id_of_nothing_is_refused_by_every_route(bench: Bench, text: str, answer: Answer) -> None:
    with bench.unchanged():
        for http, calls in ((bench.http, CALLS), (bench.operator.http, ADMIN_CALLS)):
            for method, paths in calls.items():
                for path in paths:
                    answer.require(http.request(method, path.replace("{id}", text)))
        answer.require(bench.finalize({"target": "directory"}, file_id=text))


@pytest.mark.parametrize(
    ("text", "answer"),
    [*cases(Row.ID, INVALID, NONE), *cases(Row.ID, NOT_FOUND, UNKNOWN)],
)
def test_id_of_no_content_is_refused_by_the_chunk_service(bench: Bench, text: str, answer: Answer) -> None:
    answer = CONTENT_UNKNOWN if answer is NOT_FOUND else answer
    writer = ChunkWriter.open(bench.operator, MIB)
    writer.content_id = text
    answer.require(writer.put(0, [b"a" * MIB]))
    answer.require(writer.request("GET", "digests"))
    seal = {"length": MIB, "sha-256": "0" * 64, "manifest_root": "0" * 64}
    answer.require(writer.request("POST", "seal", json=seal))


CURSORS = {"word": "nonsense", "operator": '{"$gt": ""}', "short": "0" * 23}


@pytest.mark.parametrize(("text", "answer"), cases(Row.ID, INVALID, CURSORS))
def test_cursor_that_is_no_id_is_refused(bench: Bench, text: str, answer: Answer) -> None:
    for path in ("/files", "/deliveries", "/batches", "/lists"):
        answer.require(bench.http.get(path, params={"cursor": text}))

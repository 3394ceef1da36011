"""Content types that a path does not take, and methods that a path does not know."""

import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.table import Answer, Row, cases
from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.operator import MIB

PREPARE = "/upload/prepare"
UNSUPPORTED = Answer(415, "unsupported_media_type")
NO_METHOD = Answer(405, "method_not_allowed", ("Allow",))
CONTENT_TYPES = {
    "none": None,
    "text": "text/plain",
    "form": "application/x-www-form-urlencoded",
    "multipart": "multipart/form-data; boundary=x",
    "almost": "application/jsonp",
    "nonsense": ";;;nonsense",
}


@pytest.mark.parametrize(("content_type", "answer"), cases(Row.TYPE, UNSUPPORTED, CONTENT_TYPES))
def test_body_of_another_content_type_is_refused(bench: Bench, content_type: str | None, answer: Answer) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    writer = ChunkWriter.open(bench.operator, MIB)
    with bench.unchanged():
        answer.require(bench.http.post(PREPARE, content=f'{{"file_path": "{bench.path}"}}', headers=headers))
        finalize = f"/upload/{bench.file_id}/finalize"
        answer.require(bench.http.post(finalize, content=b'{"target": "directory"}', headers=headers))
        answer.require(writer.request("POST", "seal", content=b'{"length": 1}', headers=writer.headers([]) | headers))


@pytest.mark.parametrize(("path", "answer"), cases(Row.TYPE, UNSUPPORTED, {"login": "/auth/token/"}))
def test_json_where_a_form_belongs_is_refused(bench: Bench, path: str, answer: Answer) -> None:
    answer.require(bench.http.post(path, json={"username": "somebody", "password": "a password"}))


METHODS = {
    f"{method} {path}": (method, path)
    for path, methods in {
        PREPARE: ("GET", "PUT", "DELETE", "PATCH"),
        "/files": ("PUT", "DELETE", "PATCH"),
        "/named/run42.h5": ("GET", "POST", "DELETE", "PATCH"),
        "/uploads": ("GET", "DELETE", "PATCH"),
        f"/uploads/{'0' * 56}": ("GET",),
        f"/uploads/{'0' * 56}/hold": ("GET", "PUT", "DELETE"),
        f"/uploads/{'0' * 56}/chunks/0": ("GET", "POST", "PATCH", "DELETE"),
        "/files/{file_id}": ("POST", "PUT", "PATCH"),
        "/files/{file_id}/content": ("POST", "PUT", "DELETE"),
        "/files/{file_id}/cancel": ("GET", "DELETE"),
        "/upload/{file_id}/finalize": ("GET", "PUT"),
        "/deliveries/{delivery_id}": ("DELETE", "PUT", "POST"),
        "/batches": ("PUT", "DELETE", "PATCH"),
        "/batches/{file_id}": ("POST", "PUT", "PATCH"),
        "/batches/{file_id}/start": ("GET", "PUT", "DELETE"),
        "/batches/{file_id}/skipped": ("POST", "DELETE"),
    }.items()
    for method in methods
}


@pytest.mark.parametrize(("call", "answer"), cases(Row.TYPE, NO_METHOD, METHODS))
def test_method_that_the_path_does_not_know_is_told_the_ones_it_knows(
    bench: Bench, call: tuple[str, str], answer: Answer
) -> None:
    method, path = call[0], bench.filled(call[1])
    with bench.unchanged():
        response = bench.http.request(method, path)
    answer.require(response)
    assert method not in response.headers["Allow"]


CHUNK_METHODS = {"POST": "chunks/0", "DELETE": "chunks/0", "GET": "seal", "PUT": "digests"}


@pytest.mark.parametrize(("call", "answer"), cases(Row.TYPE, NO_METHOD, {m: (m, p) for m, p in CHUNK_METHODS.items()}))
def test_method_that_the_chunk_service_does_not_know(bench: Bench, call: tuple[str, str], answer: Answer) -> None:
    answer.require(ChunkWriter.open(bench.operator, MIB).request(*call))

"""Bodies that are no JSON, or JSON of another shape than documented."""

import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.table import INVALID, Answer, Row, cases
from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.operator import MIB

JSON = {"Content-Type": "application/json"}
PREPARE = "/upload/prepare"
MALFORMED = Answer(400, "malformed")
TYPES = {
    "object": b'{"file_path": {"$gt": "operators"}}',
    "list": b'{"file_path": ["/etc/passwd"]}',
    "number": b'{"file_path": 7000001}',
    "true": b'{"file_path": true}',
    "null": b'{"file_path": null}',
    "missing": b"{}",
    "of no object": b'"/etc/passwd"',
    "with another member": b'{"file_path": "/etc/passwd", "evilmember": 1}',
    "lone surrogate": b'{"file_path": "/\\ud800\\ud800"}',
    "lone surrogate in a name": b'{"file_path": "/\\udfff", "\\ud800": 1}',
}
NO_JSON = {
    "lists 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "100,000 deep and open": b'{"file_path": ' + b"[" * 100_000,
    "objects 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "half": b'{"file_path": "/etc',
    "none": b"surely no JSON",
    "NaN": b'{"file_path": NaN}',
    "twice": b'{"file_path": "/etc/passwd", "file_path": "/etc/shadow"}',
    "no UTF-8": b'{"file_path": "/\xff\xfe"}',
    "UTF-16": '{"file_path": "/etc/passwd"}'.encode("utf-16"),
    "large number": b'{"file_path": 1e999}',
}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        *cases(Row.JSON, INVALID, TYPES),
        *cases(Row.JSON, MALFORMED, NO_JSON),
    ],
)
def test_body_of_prepare_that_is_not_as_documented_is_refused(bench: Bench, body: bytes, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(bench.http.post(PREPARE, content=body, headers=JSON))


SEALS = {"object": b'{"length": {"$gt": 0}}', "surrogate": b'{"length": 1, "sha-256": "\\ud800"}', "list": b"[]"}


@pytest.mark.parametrize(
    ("body", "answer"),
    [*cases(Row.JSON, INVALID, SEALS), *cases(Row.JSON, MALFORMED, NO_JSON)],
)
def test_body_of_seal_that_is_not_as_documented_is_refused(bench: Bench, body: bytes, answer: Answer) -> None:
    writer = ChunkWriter.open(bench.operator, MIB)
    headers = writer.headers([]) | JSON
    answer.require(writer.request("POST", "seal", content=body, headers=headers))

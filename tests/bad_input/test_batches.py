"""Batches that are asked for with something that is no batch: refused, and no batch is made."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from tests.bad_input.bench import Bench
from tests.bad_input.table import INVALID, UNKNOWN_TARGET, Answer, Row, cases, trying
from tests.bad_input.test_json import JSON, MALFORMED, NO_JSON
from tests.bad_input.test_names import OBJECT_NAMES, TARGETS
from tests.bad_input.test_paths import FORMS, NOT_ALLOWED
from tests.bad_input.test_paths import MALFORMED as MALFORMED_PATH
from tests.bad_input.test_types import CONTENT_TYPES, UNSUPPORTED

TYPES = {
    "of no object": b'["/etc/passwd"]',
    "missing": b"{}",
    "paths no list": b'{"paths": "/etc/passwd"}',
    "paths an object": b'{"paths": {"$gt": ""}}',
    "paths of lists": b'{"paths": [["/etc/passwd"]]}',
    "paths of numbers": b'{"paths": [7000001]}',
    "no paths": b'{"paths": []}',
    "null": b'{"paths": null}',
    "list_id an object": b'{"list_id": {"$ne": ""}}',
    "lone surrogate": b'{"paths": ["/\\ud800"]}',
    "lone surrogate in a pattern": b'{"paths": ["/etc/passwd"], "exclude": ["\\udfff"]}',
    "lone surrogate in a name": b'{"paths": ["/etc/passwd"], "\\ud800": 1}',
    "with another member": b'{"paths": ["/etc/passwd"], "evilmember": 1}',
    "pattern a number": b'{"paths": ["/etc/passwd"], "include": [1]}',
    "links true": b'{"paths": ["/etc/passwd"], "links": true}',
    "hidden a word": b'{"paths": ["/etc/passwd"], "hidden": "evilword"}',
    "dry_run a number": b'{"paths": ["/etc/passwd"], "dry_run": 1}',
    "target a list of lists": b'{"paths": ["/etc/passwd"], "deliver_to": [[]]}',
    "no target in the list": b'{"paths": ["/etc/passwd"], "deliver_to": []}',
    "target an object": b'{"paths": ["/etc/passwd"], "deliver_to": {"target": {"$ne": ""}}}',
}
OUTSIDE = {
    "dots": "{root}/../../../../../../../../etc/passwd",
    "no root": "/etc/passwd",
    "the whole disk": "/",
    "name that begins as a root": "{root}/../../../sources-evil",
    "pattern above the roots": "/*/passwd",
    "pattern with dots": "{root}/*/../../../../etc/passwd",
}
PATHS = {name: path for name, path in FORMS.items() if name != "300 bytes in one part"}  # a walk finds nothing there
PREFIXES = {name: value for name, value in OBJECT_NAMES.items() if value.strip("/") == value and value}


@contextmanager
def nothing_made(bench: Bench) -> Iterator[None]:
    """Assert that the block makes no batch, and changes no record of the accounts of these tests."""
    before = bench.http.get("/batches").json()
    with bench.unchanged():
        yield
    assert bench.http.get("/batches").json() == before


@pytest.mark.parametrize(("body", "answer"), [*cases(Row.JSON, INVALID, TYPES), *cases(Row.JSON, MALFORMED, NO_JSON)])
def test_body_that_is_not_as_documented_is_refused(bench: Bench, body: bytes, answer: Answer) -> None:
    with nothing_made(bench):
        answer.require(bench.http.post("/batches", content=body, headers=JSON))


@pytest.mark.parametrize(
    ("path", "answer"), [*cases(Row.OUTSIDE, NOT_ALLOWED, OUTSIDE), *cases(Row.PATH, MALFORMED_PATH, PATHS)]
)
def test_path_that_is_none_beneath_a_root_is_refused_with_all_others(bench: Bench, path: str, answer: Answer) -> None:
    with nothing_made(bench):
        answer.require(bench.http.post("/batches", json={"paths": [str(bench.root), bench.filled(path)]}))


@trying(Row.PATH)
def test_more_paths_than_a_body_may_have_are_refused(bench: Bench) -> None:
    with nothing_made(bench):
        INVALID.require(bench.http.post("/batches", json={"paths": [str(bench.root)] * 1001}))


@pytest.mark.parametrize(("content_type", "answer"), cases(Row.TYPE, UNSUPPORTED, CONTENT_TYPES))
def test_body_of_another_content_type_is_refused(bench: Bench, content_type: str | None, answer: Answer) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    with nothing_made(bench):
        answer.require(bench.http.post("/batches", content=f'{{"paths": ["{bench.root}"]}}', headers=headers))


@pytest.mark.parametrize(("target", "answer"), cases(Row.TARGET, UNKNOWN_TARGET, TARGETS))
def test_only_a_configured_target_is_taken(bench: Bench, target: str, answer: Answer) -> None:
    for deliver_to in ({"target": target}, [{"target": "directory"}, {"target": target}]):
        with nothing_made(bench):
            answer.require(bench.http.post("/batches", json={"paths": [str(bench.root)], "deliver_to": deliver_to}))


@pytest.mark.parametrize(("prefix", "answer"), cases(Row.OBJECT_NAME, INVALID, PREFIXES))
def test_prefix_that_leaves_or_breaks_is_refused(bench: Bench, prefix: str, answer: Answer) -> None:
    deliver_to = {"target": "directory", "prefix": prefix}
    with nothing_made(bench):
        answer.require(bench.http.post("/batches", json={"paths": [str(bench.root)], "deliver_to": deliver_to}))


@trying(Row.IDEMPOTENCY)
def test_key_of_a_batch_again_with_another_body_is_refused(bench: Bench) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    body = {"paths": [f"{bench.root}/nothing"], "dry_run": True}
    made = bench.http.post("/batches", json=body, headers=headers)
    assert made.status_code == 202
    Answer(422, "idempotency_conflict").require(
        bench.http.post("/batches", json={**body, "hidden": False}, headers=headers)
    )
    assert bench.http.post("/batches", json=body, headers=headers).json()["batch_id"] == made.json()["batch_id"]

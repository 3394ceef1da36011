"""Tokens give no more than their scopes, roots and targets, and none of another account's records."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx2
import pytest

from tests.bad_input.bench import OWN, Bench, key_of
from tests.bad_input.table import FORBIDDEN, NOT_FOUND, UNKNOWN_TARGET, Answer, Row, cases, trying
from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.operator import MIB, Json
from tests.journeys.test_accounts import calling

Call = tuple[str, str, Json | None]  # method, path, body


@dataclass(frozen=True, kw_only=True)
class Limited:
    """Clients of two accounts with limited rights."""

    reader: httpx2.Client  # its key has the scope `read` alone
    fenced: httpx2.Client  # its account has one root, `inside`, and one target, `webdav`


@pytest.fixture(scope="module")
def limited(bench: Bench) -> Iterator[Limited]:
    (bench.root / "inside").mkdir()
    (bench.root / "inside" / "of-the-fenced.bin").write_bytes(b"x")
    reader = key_of(bench.operator, "reader", scopes=["read"])
    fenced = key_of(bench.operator, "fenced", roots=[str(bench.root / "inside")], targets=["webdav"])
    with ExitStack() as stack:
        of_reader, of_fenced = (stack.enter_context(calling(bench.system, key)) for key in (reader, fenced))
        yield Limited(reader=of_reader, fenced=of_fenced)


ACTIONS = ("cancel", "pause", "resume", "retry")
FILE = {"file_path": "{path}"}
DELIVER = {"target": "directory"}
WITHOUT_SCOPE: dict[str, Call] = {
    "prepare": ("POST", "/upload/prepare", FILE),
    "finalize": ("POST", "/upload/{file_id}/finalize", DELIVER),
    "cancel": ("POST", "/files/{file_id}/cancel", None),
    "pause delivery": ("POST", "/deliveries/{delivery_id}/pause", None),
    "delete": ("DELETE", "/files/{file_id}", None),
    "accounts": ("GET", "/accounts", None),
    "make an admin": ("PATCH", f"/accounts/{OWN}reader", {"scopes": ["admin"]}),
    "check": ("POST", "/checks", {}),
    "probe": ("POST", "/targets/directory/probe", None),
    "another's key": ("POST", "/keys", {"name": "mine", "account": "operator"}),
}


@pytest.mark.parametrize(("call", "answer"), cases(Row.GRANT, FORBIDDEN, WITHOUT_SCOPE))
def test_token_without_the_scope_is_refused(bench: Bench, limited: Limited, call: Call, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(asked(limited.reader, bench, call))


def asked(http: httpx2.Client, bench: Bench, call: Call) -> httpx2.Response:
    method, path, body = call
    filled = {name: bench.filled(value) if isinstance(value, str) else value for name, value in (body or {}).items()}
    headers = {"content-sha256": bench.sha256}
    return http.request(method, bench.filled(path), headers=headers, json=None if body is None else filled)


INSIDE = {"file_path": "{root}/inside/of-the-fenced.bin"}


@trying(Row.GRANT)
def test_token_without_the_root_is_refused(bench: Bench, limited: Limited) -> None:
    with bench.unchanged():
        Answer(403, "path_not_allowed").require(asked(limited.fenced, bench, ("POST", "/upload/prepare", FILE)))


@trying(Row.GRANT)
@pytest.mark.parametrize("path", ["/upload/prepare", "/upload/{file_id}/finalize"])
def test_target_of_others_and_unknown_target_get_the_same_answer(bench: Bench, limited: Limited, path: str) -> None:
    details = set()
    with bench.unchanged():
        for target in ("directory", "no-such-target"):
            deliver_to = {"target": target}
            body = INSIDE | {"deliver_to": deliver_to} if path == "/upload/prepare" else deliver_to
            answer = asked(limited.fenced, bench, ("POST", path, body))
            UNKNOWN_TARGET.require(answer)
            details.add(answer.json()["detail"])
    [detail] = details
    assert not [name for name in ("directory", "webdav") if name in detail]


@trying(Row.GRANT)
@pytest.mark.parametrize(("method", "rest"), [("GET", ""), ("POST", "/probe")])
def test_target_of_others_is_neither_shown_nor_probed(bench: Bench, limited: Limited, method: str, rest: str) -> None:
    answers = [
        asked(limited.fenced, bench, (method, f"/targets/{name}{rest}", None)) for name in ("directory", "nowhere")
    ]
    for answer in answers:
        UNKNOWN_TARGET.require(answer)
    assert len({answer.json()["detail"] for answer in answers}) == 1
    listed = limited.fenced.get("/targets").json()["targets"]
    assert [target["name"] for target in listed] == ["webdav"]


@trying(Row.GRANT)
def test_token_of_another_content_writes_no_chunk(bench: Bench) -> None:
    writer, other = (ChunkWriter.open(bench.operator, MIB) for _ in range(2))
    FORBIDDEN.require(writer.put(0, [b"a" * MIB], authorization=f"Bearer {other.token()}"))
    assert not any(writer.request("GET", "digests").content)


FILE_CALLS: dict[str, Call] = {
    "look": ("GET", "/files/{foreign_file_id}", None),
    "page after file": ("GET", "/files?cursor={foreign_file_id}", None),
    "content": ("GET", "/files/{foreign_file_id}/content", None),
    "deliveries": ("GET", "/files/{foreign_file_id}/deliveries", None),
    "finalize": ("POST", "/upload/{foreign_file_id}/finalize", DELIVER),
    "delete": ("DELETE", "/files/{foreign_file_id}?cancel=true", None),
    **{action: ("POST", f"/files/{{foreign_file_id}}/{action}", None) for action in ACTIONS},
}
DELIVERY_CALLS: dict[str, Call] = {
    "look at delivery": ("GET", "/deliveries/{foreign_delivery_id}", None),
    "page after delivery": ("GET", "/deliveries?cursor={foreign_delivery_id}", None),
    **{f"{action} delivery": ("POST", f"/deliveries/{{foreign_delivery_id}}/{action}", None) for action in ACTIONS},
}


@pytest.mark.parametrize(("call", "answer"), cases(Row.FOREIGN, NOT_FOUND, FILE_CALLS | DELIVERY_CALLS))
def test_records_of_somebody_else_are_not_there(bench: Bench, call: Call, answer: Answer) -> None:
    with bench.unchanged():
        answer.require(asked(bench.http, bench, call))

"""Bundles that do not match their table or their token: the chunk service refuses them and stores nothing."""

from collections.abc import Callable
from dataclasses import replace

import httpx2
import pytest
from bson import ObjectId

from gridhaul.chunk_service_client.bundle_table import write_blocks, write_table
from gridhaul.chunk_service_client.grants import sign, sign_bundle
from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.digest import content_sha256
from gridhaul.transfer.grants import BundleGrant, ContentGrant
from tests.bad_input.bench import Bench
from tests.bad_input.table import FORBIDDEN, INVALID, UNAUTHORIZED, Answer, Row, cases, trying
from tests.contracts.bytes_to_store import whole_content
from tests.journeys.operator import MIB

MISMATCH = Answer(422, "digest_mismatch")
NO_LENGTH = Answer(422, "length_mismatch")
TOO_LARGE = Answer(413, "payload_too_large")


def bundle() -> list[WholeContent]:
    return [whole_content(b"first"), whole_content(b""), whole_content(b"third" * 1000)]


def token(bench: Bench, contents: list[WholeContent], *, secret: str | None = None) -> str:
    grant = BundleGrant(table_sha256=content_sha256(write_table(contents)))
    return sign_bundle(grant, secret=secret or bench.system.service_secret)


def post(bench: Bench, body: object, bearer: str | None) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    url = f"{bench.system.chunk_service_url}/contents"
    return httpx2.post(url, content=body, headers=headers, trust_env=False, timeout=30)  # type: ignore[arg-type]


def require_nothing_stored(bench: Bench, contents: list[WholeContent]) -> None:
    ids = {"$in": [ObjectId(one.id) for one in contents]}
    with bench.operator.database() as database:
        for collection, key in (("contents", "_id"), ("inline", "_id"), ("manifests", "_id.content")):
            assert database[collection].count_documents({key: ids}) == 0


BODIES: dict[str, Callable[[bytes], bytes]] = {
    "byte flipped": lambda body: body[:-1] + b"X",
    "bytes in another order": lambda body: body.replace(b"firstthird", b"thirdfirst"),
}
LENGTHS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "one byte more": lambda body: body + b"x",
    "one byte less": lambda body: body[:-1],
    "table alone": lambda body: body.partition(b"\n")[0] + b"\n",
}
TABLES: dict[str, Callable[[bytes], bytes]] = {
    "no line": lambda body: body.replace(b"\n", b" "),
    "too long": lambda body: b" " * MIB + body,
}
OTHERS: dict[str, Callable[[bytes], bytes]] = {
    "another table": lambda body: body.replace(b"a/b", b"a/c"),
    "an empty one": lambda _: b"\n",
}


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        *cases(Row.DIGEST, MISMATCH, BODIES),
        *cases(Row.SEGMENT, NO_LENGTH, LENGTHS),
        *cases(Row.SEGMENT, TOO_LARGE, {"16 MiB and 1": lambda body: body.ljust(16 * MIB + 1)}),
        *cases(Row.JSON, INVALID, TABLES),
        *cases(Row.GRANT, FORBIDDEN, OTHERS),
    ],
)
def test_bundle_that_is_not_what_it_says_stores_nothing(
    bench: Bench, change: Callable[[bytes], bytes], answer: Answer
) -> None:
    contents = bundle()
    answer.require(post(bench, change(b"".join(write_blocks(write_table(contents), contents))), token(bench, contents)))
    require_nothing_stored(bench, contents)


@trying(Row.TOKEN)
def test_token_for_something_else_stores_nothing(bench: Bench) -> None:
    contents = bundle()
    body = b"".join(write_blocks(write_table(contents), contents))
    one = ContentGrant(content_id=contents[0].id, fence=contents[0].fence)
    wrong = (None, "nonsense", sign(one, secret=bench.system.service_secret), token(bench, contents, secret="y" * 40))
    for bearer in wrong:
        UNAUTHORIZED.require(post(bench, body, bearer))
    require_nothing_stored(bench, contents)


@trying(Row.GRANT)
def test_token_for_another_fence_or_content_stores_nothing(bench: Bench) -> None:
    contents = bundle()
    for other in (replace(contents[0], fence=2), whole_content(b"first")):
        sent = [other, *contents[1:]]
        FORBIDDEN.require(post(bench, b"".join(write_blocks(write_table(sent), sent)), token(bench, contents)))
        require_nothing_stored(bench, sent)


def test_bundle_that_is_right_is_stored_and_its_repeat_is_not_refused(bench: Bench) -> None:
    contents = bundle()
    body = b"".join(write_blocks(write_table(contents), contents))
    for _ in range(2):
        response = post(bench, body, token(bench, contents))
        assert (response.status_code, response.json()) == (200, {"stored": {one.id: "inline" for one in contents}})
    other = [replace(whole_content(b"other"), id=contents[0].id)]
    answered = post(bench, b"".join(write_blocks(write_table(other), other)), token(bench, other))
    assert answered.json() == {"stored": {}}

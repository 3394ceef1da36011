"""Chunks that are sent again, and writers with a stale or wrong fence."""

import pytest
from bson import ObjectId

from gridhaul.transfer.digest import ContentDigest, chunk_digest, manifest_root
from tests.bad_input.bench import Bench
from tests.bad_input.table import Answer, Row, cases, trying
from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.operator import MIB, Json, Operator

CHUNK = b"a" * MIB
OTHER = b"b" * MIB
STALE = Answer(409, "stale_fence")
MALFORMED = Answer(400, "malformed")
CHUNKS = {"inline": 2, "gridfs": 17}


@pytest.fixture(params=CHUNKS)
def writer(bench: Bench, request: pytest.FixtureRequest) -> ChunkWriter:
    """Return a writer whose content has all its chunks, once in the inline layout and once in the GridFS layout."""
    writer = ChunkWriter.open(bench.operator, CHUNKS[request.param] * MIB)
    for first in range(0, CHUNKS[request.param], 16):
        count = min(16, CHUNKS[request.param] - first)
        assert writer.put(first, [CHUNK] * count).status_code == 201
    return writer


def held(writer: ChunkWriter) -> bytes:
    return bytes(writer.request("GET", "digests").content)


def seal_of(writer: ChunkWriter) -> Json:
    count = len(held(writer)) // 33
    total = ContentDigest()
    for _ in range(count):
        total.update(CHUNK)
    root = manifest_root([chunk_digest(CHUNK)] * count)
    return {"length": count * MIB, "sha-256": total.hexdigest(), "manifest_root": root}


@trying(Row.AGAIN)
def test_chunk_again_is_right_with_the_same_bytes_and_a_conflict_with_others(writer: ChunkWriter) -> None:
    before = held(writer)
    assert writer.put(1, [CHUNK]).status_code == 200
    Answer(409, "chunk_conflict").require(writer.put(1, [OTHER]))
    assert held(writer) == before


@trying(Row.AGAIN)
def test_chunk_after_the_seal_is_a_conflict(writer: ChunkWriter) -> None:
    seal = seal_of(writer)
    before = held(writer)
    assert writer.request("POST", "seal", json=seal).status_code == 200
    for chunk in (CHUNK, OTHER):
        Answer(409, "content_sealed").require(writer.put(1, [chunk]))
    Answer(409, "content_sealed").require(writer.request("POST", "seal", json=seal | {"sha-256": "0" * 64}))
    assert held(writer) == before


@trying(Row.FENCE)
def test_writer_whose_content_was_taken_over_is_stale(bench: Bench, writer: ChunkWriter) -> None:
    seal = seal_of(writer)
    taken_over(bench.operator, writer)
    before = held(writer)
    STALE.require(writer.put(1, [CHUNK]))
    STALE.require(writer.put(1, [OTHER]))
    STALE.require(writer.request("POST", "seal", json=seal))
    assert held(writer) == before


def taken_over(operator: Operator, writer: ChunkWriter) -> None:
    """Give the content the next fence, as the claim of another worker does."""
    with operator.database() as database:
        found = {"_id": ObjectId(writer.content_id)}
        assert database["contents"].update_one(found, {"$set": {"fence": 2}}).modified_count == 1


NOT_ITS_OWN = {"earlier": "0", "later": "2"}
NO_FENCES = {"none": None, "negative": "-1", "word": "newest", "large": "9" * 30}


@pytest.mark.parametrize(
    ("fence", "answer"), [*cases(Row.FENCE, STALE, NOT_ITS_OWN), *cases(Row.FENCE, MALFORMED, NO_FENCES)]
)
def test_fence_that_is_not_the_tokens_is_refused(bench: Bench, fence: str | None, answer: Answer) -> None:
    writer = ChunkWriter.open(bench.operator, MIB)
    answer.require(writer.put(0, [CHUNK], lease_fence=fence))
    assert not any(held(writer))

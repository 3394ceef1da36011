"""Segments with a wrong number, length or digest: the chunk service refuses them and stores nothing of them."""

import pytest

from gridhaul.outgoing.headers import write_chunk_digests
from gridhaul.transfer.digest import chunk_digest
from tests.bad_input.bench import Bench
from tests.bad_input.table import INVALID, WRONG_NUMBERS, Answer, Row, cases
from tests.journeys.chunk_writer import ChunkWriter
from tests.journeys.operator import MIB
from tests.journeys.test_chunk_service import repair

CHUNK = b"a" * MIB
OTHER = b"b" * MIB
LAST = b"z" * 10
LENGTH = 20 * MIB + len(LAST)
PAST = Answer(416, "chunk_out_of_range")
NO_LENGTH = Answer(422, "length_mismatch")
NO_DIGEST = Answer(400, "digest_required")
MALFORMED = Answer(400, "malformed")
MISMATCH = Answer(422, "digest_mismatch")
SEGMENTS = [
    *cases(
        Row.CHUNK, PAST, {"the next": (21, [CHUNK]), "over the end": (20, [CHUNK, LAST]), "far": (2**31 - 1, [LAST])}
    ),
    *cases(
        Row.SEGMENT,
        NO_LENGTH,
        {
            "empty": (0, []),
            "last chunk short": (20, [LAST[:-1]]),
            "last chunk long": (20, [LAST + b"z"]),
            "last chunk whole": (20, [CHUNK]),
            "last chunk in front": (19, [LAST]),
        },
    ),
    *cases(Row.SEGMENT, Answer(413, "payload_too_large"), {"16 MiB and 1": (0, [CHUNK] * 16 + [b"a"])}),
]
DIGESTS = [
    *cases(Row.DIGEST, NO_DIGEST, {"missing": None, "empty": ""}),
    *cases(
        Row.DIGEST,
        MALFORMED,
        {
            "nonsense": "surely, no digest",
            "hex": chunk_digest(CHUNK).hex(),
            "no base64": ":???????:",
            "short": write_chunk_digests([b"short"]),
            "another algorithm": write_chunk_digests([b"x" * 64]),
            "with its name": "sha-256=:" + "A" * 43 + "=:",
            "numbers": "1234567, 7654321",
        },
    ),
    *cases(
        Row.DIGEST,
        MISMATCH,
        {
            "of other bytes": write_chunk_digests([chunk_digest(OTHER)]),
            "one too many": write_chunk_digests([chunk_digest(CHUNK)] * 2),
            "499 too many": write_chunk_digests([b"x" * 32] * 500),
        },
    ),
]


@pytest.fixture
def writer(bench: Bench) -> ChunkWriter:
    return ChunkWriter.open(bench.operator, LENGTH)


def nothing_held(writer: ChunkWriter) -> bool:
    return not any(writer.request("GET", "digests").content)


@pytest.mark.parametrize(("number", "answer"), cases(Row.CHUNK, INVALID, WRONG_NUMBERS))
def test_number_of_no_chunk_is_refused(writer: ChunkWriter, number: str, answer: Answer) -> None:
    answer.require(writer.put(number, [CHUNK]))
    answer.require(repair(writer, number, CHUNK))
    answer.require(writer.request("GET", f"digests?from={number}"))
    assert nothing_held(writer)


@pytest.mark.parametrize(("segment", "answer"), SEGMENTS)
def test_segment_that_does_not_fit_is_refused(
    writer: ChunkWriter, segment: tuple[int, list[bytes]], answer: Answer
) -> None:
    first, chunks = segment
    answer.require(
        writer.put(first, chunks, chunk_digests=write_chunk_digests([chunk_digest(one) for one in chunks or [b""]]))
    )
    assert nothing_held(writer)


@pytest.mark.parametrize(("digests", "answer"), DIGESTS)
def test_segment_without_its_digests_is_refused(writer: ChunkWriter, digests: str | None, answer: Answer) -> None:
    answer.require(writer.put(0, [CHUNK], chunk_digests=digests))
    assert nothing_held(writer)

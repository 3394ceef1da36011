"""Contents whose bytes are made: both ways of reading give the same bytes, verified as stored ones are."""

from contextlib import closing
from itertools import islice

import pytest

from bench.made_content import TIB, VARIANTS, MadeContents
from gridhaul.storage.connect import Database
from gridhaul.transfer.chunking import CHUNK_BYTES, MANIFEST_PAGE_CHUNKS
from gridhaul.transfer.errors import ChunkCorrupt

FIRST = MANIFEST_PAGE_CHUNKS - 2  # of a range whose chunks are on two pages of the manifest


async def test_range_has_the_bytes_of_the_whole(database: Database) -> None:
    contents = MadeContents(database)
    content = await contents.get(contents.new_id())
    with closing(contents.read(content)) as chunks:
        whole = [*islice(chunks, FIRST + 4)]
    with closing(contents.read_range(content, start=FIRST * CHUNK_BYTES + 5, stop=(FIRST + 4) * CHUNK_BYTES)) as pieces:
        assert b"".join(pieces) == b"".join(whole[FIRST:])[5:]
    assert content.length == TIB
    assert len(set(whole[:VARIANTS])) == VARIANTS
    assert contents.furthest >= (FIRST + 4) * CHUNK_BYTES


async def test_made_bytes_are_verified(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = MadeContents(database)
    content = await contents.get(contents.new_id())
    monkeypatch.setattr(contents, "_digests", contents._digests[::-1])
    with closing(contents.read(content)) as chunks, pytest.raises(ChunkCorrupt):
        chunks.begin()

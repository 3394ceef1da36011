"""The number of stored chunks in each cell of a content's map. Of a GridFS content, an index alone is read."""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from gridhaul.storage.connect import Database, Document, maps_database_errors
from gridhaul.storage.content.gridfs_layout import BY_NUMBER
from gridhaul.storage.counting import COUNT_MILLISECONDS
from gridhaul.storage.majority_reads import catch_up
from gridhaul.transfer.cells import Cells
from gridhaul.transfer.model import Content
from gridhaul.transfer.states import ContentState, Layout

BY_CELL_AT_MOST = 1 << 16  # chunks that are counted by cell within 0.1 s
_IS_CHUNK: Document = {
    "$cond": [{"$eq": [{"$type": "$$this"}, "binData"]}, {"$gt": [{"$binarySize": "$$this"}, 0]}, False]
}
# Tells of each entry whether it holds bytes: a repair of a lost document leaves the places of the other chunks empty.
_ENTRIES: Document = {"$cond": [{"$isArray": "$chunks"}, {"$map": {"input": "$chunks", "in": _IS_CHUNK}}, []]}


@maps_database_errors
class MongoChunkCounting:
    """The port `transfer.ports.counting.ChunkCounting` on MongoDB.

    Up to `by_cell_at_most` chunks are counted by cell in one query.
    """

    def __init__(self, database: Database, *, by_cell_at_most: int = BY_CELL_AT_MOST) -> None:
        self._by_cell_at_most = by_cell_at_most
        self._chunks = database["fs.chunks"]
        self._inline = database["inline"]

    async def stored(self, content: Content, cells: Cells) -> Sequence[int]:
        if content.layout is Layout.GRIDFS:
            return await self._in_bucket(content, cells)
        inline = await self._in_document(content, cells)
        # A crash may have followed the insert of an inline document before the content got its layout.
        if inline is None and content.layout is None:
            return await self._in_bucket(content, cells)
        return _within(cells, inline or {})

    async def _in_document(self, content: Content, cells: Cells) -> Mapping[int, int] | None:
        """Return the counts by cell; None: no document is stored."""
        wanted: list[Document] = [{"$match": {"_id": ObjectId(content.id)}}, {"$project": {"_id": 0, "held": _ENTRIES}}]
        async for document in await self._inline.aggregate(wanted, maxTimeMS=COUNT_MILLISECONDS):
            held: list[bool] = document["held"][: cells.chunk_count]
            step = cells.chunks_per_cell
            return {first // step: sum(held[first : first + step]) for first in range(0, len(held), step)}
        return None

    async def _in_bucket(self, content: Content, cells: Cells) -> Sequence[int]:
        every = range(len(cells.sizes))
        held = await self._together(content, cells, every)
        if content.state is ContentState.SEALED and held < cells.chunk_count:
            await catch_up(self._chunks)
            held = await self._together(content, cells, every)
        return await self._counts(content, cells, every, held)

    async def _counts(self, content: Content, cells: Cells, some: range, held: int) -> list[int]:
        """Return the counts of some consecutive cells, which hold `held` chunks together.

        Chunks are counted together three times as fast as by cell, and most contents lack either no chunk or all of
        them from a number on. So a long row of cells is halved until a part of it has all its chunks, or none.
        """
        sizes = cells.sizes[some.start : some.stop]
        if held <= 0 or held >= sum(sizes):
            return sizes if held > 0 else [0] * len(sizes)
        if len(sizes) == 1:
            return [held]
        if sum(sizes) <= self._by_cell_at_most:
            return await self._by_cell(content, cells, some)
        left, right = some[: len(some) // 2], some[len(some) // 2 :]
        held_left = await self._together(content, cells, left)
        return [
            *await self._counts(content, cells, left, held_left),
            *await self._counts(content, cells, right, held - held_left),
        ]

    async def _together(self, content: Content, cells: Cells, some: range) -> int:
        wanted = _chunks_of(content, cells, some)
        return await self._chunks.count_documents(wanted, hint=BY_NUMBER, maxTimeMS=COUNT_MILLISECONDS)

    async def _by_cell(self, content: Content, cells: Cells, some: range) -> list[int]:
        cell = {"$floor": {"$divide": ["$n", cells.chunks_per_cell]}}
        pipeline: list[dict[str, Any]] = [
            {"$match": _chunks_of(content, cells, some)},
            {"$group": {"_id": cell, "count": {"$sum": 1}}},
        ]
        groups = await self._chunks.aggregate(pipeline, hint=dict(BY_NUMBER), maxTimeMS=COUNT_MILLISECONDS)
        return _within(cells, {int(group["_id"]): group["count"] async for group in groups})[some.start : some.stop]


def _chunks_of(content: Content, cells: Cells, some: range) -> Document:
    """Return the condition for the chunks of some consecutive cells."""
    first, stop = some.start * cells.chunks_per_cell, min(some.stop * cells.chunks_per_cell, cells.chunk_count)
    return {"files_id": ObjectId(content.id), "n": {"$gte": first, "$lt": stop}}


def _within(cells: Cells, counts: Mapping[int, int]) -> list[int]:
    """Return the count of each cell. A cell with a doubled chunk counts no more chunks than it has."""
    return [min(counts.get(cell, 0), size) for cell, size in enumerate(cells.sizes)]

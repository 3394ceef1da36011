"""`/files/{file_id}/chunks`: which chunks of a file are stored, and what the newest check found about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.auth import Reading
from api.dependencies import Id, Service, ServiceDep
from gridhaul.asgi.problems import documented
from gridhaul.transfer.cells import Cells
from gridhaul.transfer.checks import RUNNABLE, Check, CheckKind, CheckState, Mode
from gridhaul.transfer.chunking import chunk_count
from gridhaul.transfer.findings import OF_CHUNKS, Finding, FindingCode, Outcome
from gridhaul.transfer.model import Content, File
from gridhaul.transfer.states import BYTES_GONE, ContentState, FileState, Layout

router = APIRouter(prefix="/files", tags=["files"])

MOST_CELLS = 1024
CellsAtMost = Annotated[int, Query(ge=1, le=MOST_CELLS, description="The greatest number of cells")]


class ChunkFindingView(BaseModel):
    n: int | None = Field(description="The chunk's number")
    code: FindingCode
    detail: str
    outcome: Outcome
    why_not: str | None

    @classmethod
    def of(cls, finding: Finding) -> Self:
        return cls(**{name: getattr(finding, name) for name in cls.model_fields})


class ChunkCheckView(BaseModel):
    check_id: str
    kind: CheckKind
    mode: Mode
    state: CheckState
    ended: datetime | None = Field(description="null: the check is not over")

    @classmethod
    def of(cls, check: Check | None) -> Self | None:
        if check is None:
            return None
        ended = None if check.state in RUNNABLE else check.updated_at
        return cls(check_id=check.id, kind=check.kind, mode=check.mode, state=check.state, ended=ended)


class ChunkMapView(BaseModel):
    file_id: str
    state: FileState
    layout: Layout | None = Field(description="null: not known yet")
    chunk_count: int | None = Field(description="null: the length is not known yet")
    chunks_per_cell: int = Field(description="The last cell may have fewer chunks")
    stored: list[int] = Field(
        description="The number of stored chunks in each cell. While the length is not known, the cells cover only the "
        "bytes that have arrived"
    )
    findings: list[ChunkFindingView] = Field(
        description="Faults of chunks among the first 1,000 findings of `checked`, also those that were repaired"
    )
    checked: ChunkCheckView | None = Field(
        description="The newest check of this file alone, or the newest check that found something about its content; "
        "null: there is none since the file was stored"
    )


@router.get("/{file_id}/chunks", summary="Show which chunks of a file are stored", responses=documented(404))
async def get_chunk_map(file_id: Id, caller: Reading, service: ServiceDep, cells: CellsAtMost = 256) -> ChunkMapView:
    """Count the chunks that are stored. Only checks read and compare them.

    A count that took long is repeated only after nine times as long.
    """
    file = await service.file(caller, file_id)
    content = await service.contents.get(file.content_id) if file.content_id else None
    known = _chunk_count(file)
    # Always the finest map is counted, so that other numbers of cells make no further counts.
    finest = Cells.at_most(MOST_CELLS, chunk_count=chunk_count(file.stored_bytes) if known is None else known)
    shown = finest.joined(cells)
    check = await _newest_check(service, file, content)
    return ChunkMapView(
        file_id=file.id,
        state=file.state,
        layout=content.layout if content and content.layout else file.layout,
        chunk_count=known,
        chunks_per_cell=shown.chunks_per_cell,
        stored=shown.sums(await _stored(service, file, content, finest), finest),
        findings=[ChunkFindingView.of(finding) for finding in _of_chunks(check, file)],
        checked=ChunkCheckView.of(check),
    )


def _chunk_count(file: File) -> int | None:
    """Return the number of chunks; None: the length is not known yet."""
    return None if file.upload is not None and file.upload.length_deferred else file.chunk_count


async def _stored(service: Service, file: File, content: Content | None, cells: Cells) -> Sequence[int]:
    gone = content is None or content.state is ContentState.DELETING or file.state in BYTES_GONE
    if content is None or gone or file.content_outdated:
        return [0] * len(cells.sizes)
    return await service.chunk_counts.of((content, cells), account=file.owner)


async def _newest_check(service: Service, file: File, content: Content | None) -> Check | None:
    """Return the newest check that is about the file's content. Checks look only at contents that are sealed."""
    sealed = file.state is FileState.STORED if content is None else content.state is ContentState.SEALED
    if file.content_id is None or not sealed or file.state in BYTES_GONE:
        return None
    return await service.checks.newest_about(
        file_id=file.id, content_id=file.content_id, sealed_at=content.sealed_at if content else None
    )


def _of_chunks(check: Check | None, file: File) -> Sequence[Finding]:
    findings = check.findings if check else ()
    return [one for one in findings if one.code in OF_CHUNKS and one.content_id == file.content_id]

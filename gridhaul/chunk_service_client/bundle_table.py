"""The table of contents at the head of a bundle: a line of JSON. The bytes of all contents follow in its order."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gridhaul.transfer.bundle import BUNDLE_FILES, BUNDLE_MAX_BYTES, WholeContent
from gridhaul.transfer.chunking import CHUNK_BYTES, chunk_count, chunk_length
from gridhaul.transfer.errors import InvalidValue
from gridhaul.transfer.model import Seal

HexId = Annotated[str, Field(pattern="^[0-9a-f]{24}$")]
HexDigest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Entry(BaseModel):
    """The entry of one content in the table."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    content_id: HexId
    fence: int = Field(ge=0, lt=2**53)
    file_id: HexId
    filename: str = Field(max_length=4096)
    content_type: str = Field(max_length=4096)
    length: int = Field(ge=0, le=BUNDLE_MAX_BYTES)
    sha256: HexDigest = Field(alias="sha-256")
    manifest_root: HexDigest

    @property
    def chunk_lengths(self) -> list[int]:
        return [chunk_length(self.length, n) for n in range(chunk_count(self.length))]

    @property
    def seal(self) -> Seal:
        return Seal(length=self.length, sha256=self.sha256, manifest_root=self.manifest_root)


_TABLE = TypeAdapter(Annotated[list[Entry], Field(min_length=1, max_length=BUNDLE_FILES)])


def write_table(contents: Sequence[WholeContent]) -> bytes:
    """Return the table as a line of JSON, without the line break."""
    return _TABLE.dump_json([_entry(content) for content in contents], by_alias=True)


def write_blocks(table: bytes, contents: Sequence[WholeContent]) -> list[bytes]:
    """Return the whole body, the table and the bytes of the contents that it lists, in blocks of up to a chunk.

    Each block costs the sender a pass through its layers, so pieces are joined; a whole chunk is not copied.
    """
    blocks: list[bytes] = []
    pending: list[bytes] = []
    for piece in (table, b"\n", *(chunk for content in contents for chunk in content.chunks)):
        if pending and sum(map(len, pending)) + len(piece) > CHUNK_BYTES:
            blocks.append(b"".join(pending))
            pending = []
        pending.append(piece)
    return [*blocks, b"".join(pending)]


def read_table(line: bytes) -> list[Entry]:
    """Return the entries of the table. Raises InvalidValue."""
    try:
        entries = _TABLE.validate_json(line)
    except ValidationError:
        raise InvalidValue("The table of contents does not have the form that the documentation gives.") from None
    if len({entry.content_id for entry in entries}) < len(entries):
        raise InvalidValue("A content is in the table more than once.")
    return entries


def _entry(content: WholeContent) -> Entry:
    return Entry.model_construct(
        content_id=content.id,
        fence=content.fence,
        file_id=content.file_id,
        filename=content.filename,
        content_type=content.content_type,
        length=content.seal.length,
        sha256=content.seal.sha256,
        manifest_root=content.seal.manifest_root,
    )

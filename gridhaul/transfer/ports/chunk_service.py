"""The chunk service as workers see it.

The client repeats a request while that can help, so every method raises ChunkServiceUnavailable, ChunkServiceFailed,
IntakeBusy and StorageFull only after about a minute, or at once where the service asks for a longer wait. Every method
raises ChunkServiceRefused (a wrong SERVICE_SECRET, a wrong clock) at once.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gridhaul.transfer.bundle import WholeContent
from gridhaul.transfer.grants import ContentGrant, RepairGrant
from gridhaul.transfer.model import RecordId, Seal, Segment
from gridhaul.transfer.states import Layout


class ChunkWriting(Protocol):
    """Storing one content under a fence. Each method raises LeaseLost once a higher fence has the content."""

    async def digests(self, grant: ContentGrant, *, first: int, count: int) -> bytes:
        """Return 33 bytes for each chunk: the byte 1 and the digest if it is stored, otherwise 33 zero bytes."""

    async def put(self, grant: ContentGrant, segment: Segment) -> None:
        """Store a segment, durable when this returns.

        Raises ChunkConflict, and SegmentDamaged if bytes changed on the way.
        """

    async def seal(self, grant: ContentGrant, seal: Seal) -> Layout:
        """Make the content complete and unchangeable; return the layout that it got.

        Raises ContentIncomplete, ContentSealed, DigestMismatch, LengthMismatch.
        """


class TailWriting(Protocol):
    async def put_tail(self, grant: ContentGrant, n: int, data: bytes) -> None:
        """Store the first bytes of chunk `n` of an ordered upload, in place of the tail before; durable then.

        Raises LeaseLost once a higher fence has the content.
        """


class BundleWriting(Protocol):
    async def store_whole(self, contents: Sequence[WholeContent]) -> Mapping[RecordId, Layout]:
        """Store and seal small contents, durable when this returns. Return an error code for each that is refused."""


class ChunkRepair(Protocol):
    async def repair(self, grant: RepairGrant, n: int, chunk: bytes, digest: bytes) -> None:
        """Put chunk `n` of a sealed content right, durable when this returns.

        Raises NotFound, StateConflict, ChunkConflict, ChunkOutOfRange, LengthMismatch.
        """


class ChunkServiceHealth(Protocol):
    async def check(self) -> None:
        """Ask once whether files can be stored now; take a few seconds at most.

        Raises ChunkServiceUnavailable, and StorageFull while the database's disk is full up to its reserve.
        """


class UploadWriting(ChunkWriting, TailWriting, BundleWriting, Protocol):
    """All that uploads need of the chunk service."""


class ChunkService(ChunkWriting, BundleWriting, ChunkRepair, Protocol):
    """All that workers need of the chunk service."""

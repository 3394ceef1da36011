"""How much the store holds, how much it can still take, and the orphans that the last look for them found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gridhaul.transfer.checks import Check, Mode
from gridhaul.transfer.findings import FindingCode
from gridhaul.transfer.model import RecordId


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphans:
    """Contents that belong to nothing, as a check of the kind `gc` counted them."""

    check_id: RecordId
    mode: Mode  # a check with REPAIR has removed what it found, unless its findings say otherwise
    checked_at: datetime  # when the check ended
    chunks: int
    inline: int
    manifests: int
    bucket_files: int
    unreferenced: int

    @classmethod
    def found_by(cls, check: Check) -> "Orphans":
        counts: Mapping[str, int] = check.counts or {}
        return cls(
            check_id=check.id,
            mode=check.mode,
            checked_at=check.updated_at,
            chunks=counts.get(FindingCode.CHUNKS_ORPHANED, 0),
            inline=counts.get(FindingCode.INLINE_ORPHANED, 0),
            manifests=counts.get(FindingCode.MANIFEST_ORPHANED, 0),
            bucket_files=counts.get(FindingCode.BUCKET_FILE_ORPHANED, 0),
            unreferenced=counts.get(FindingCode.CONTENT_UNREFERENCED, 0),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSize:
    """The sizes are None where the database server does not tell them."""

    total_bytes: int | None  # of the database's file system
    used_bytes: int | None  # of the database's file system, by whatever lies there
    data_bytes: int | None  # of all documents of Gridhaul, before compression and without indexes
    orphans: Orphans | None  # None: no check of the kind `gc` is DONE
    measured_at: datetime  # by the database server's clock

    @property
    def free_bytes(self) -> int | None:
        if self.total_bytes is None or self.used_bytes is None:
            return None
        return self.total_bytes - self.used_bytes

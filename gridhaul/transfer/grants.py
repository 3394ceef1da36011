"""The rights that a worker has at the chunk service, each bound to what it is for. Signed tokens carry them."""

from dataclasses import dataclass

from gridhaul.transfer.model import RecordId


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentGrant:
    """The right to write to one content under one fence."""

    content_id: RecordId
    fence: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairGrant:
    """The right to repair one sealed content. A sealed content has no writer, so the grant has no fence."""

    content_id: RecordId


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleGrant:
    """The right to store the contents that one table lists, each under the fence that the table gives it."""

    table_sha256: str

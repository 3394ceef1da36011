"""Changes of files that are charged to the quota of their owner (docs/adr/0008)."""

from typing import Any

from gridhaul.transfer.model import File
from gridhaul.transfer.ports.accounts import AccountUsage
from gridhaul.transfer.ports.files import RetriableFiles


async def retry_charged(
    usage: AccountUsage, files: RetriableFiles, file: File, *, changes: dict[str, Any], who: str | None = None
) -> File | None:
    """Charge the growth of the file's length to the quota, then call `FileMoves.retry` and return its result.

    `changes` are fields of the record; they hold `length` if the source has another length now. Bytes that the file no
    longer needs, or a charge for a file that was not moved, are released. Raises QuotaExceeded.
    """
    growth = changes.get("length", file.length) - file.length
    # Charge even 0 bytes: the charge stamps the account, so the recount skips it until the release below.
    await usage.charge(file.owner, max(growth, 0))
    moved = await files.retry(file, who=who, **changes)
    unneeded = -growth if moved else growth
    if unneeded > 0:
        await usage.release(file.owner, unneeded)
    return moved

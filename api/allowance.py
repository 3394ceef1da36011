"""How much an account may have: files that are not stored yet, and bytes in all its files (docs/adr/0008)."""

from typing import Any

from api.dependencies import Service
from gridhaul.transfer.access import Account
from gridhaul.transfer.errors import DatabaseUnavailable, TooManyOpenFiles
from gridhaul.transfer.model import File, NewFile

TRY_AGAIN_SECONDS = 10


async def require_few_open(parts: Service, owner: str, account: Account | None) -> None:
    """Raises TooManyOpenFiles. Only counted: requests at the same moment may together go a little over the limit."""
    own = account.max_open_files if account else None
    limit = parts.max_open_files if own is None else own
    if await parts.files.count_open(owner, limit=limit) >= limit:
        detail = f"At most {limit} files at once may wait to be stored; try again when some are."
        raise TooManyOpenFiles(detail, retry_after_seconds=TRY_AGAIN_SECONDS)


async def register_charged(parts: Service, new: NewFile) -> tuple[File, bool]:
    """`FileRegistry.register`, charged before. Raises QuotaExceeded."""
    await parts.usage.charge(new.owner, new.length)
    try:
        file, made = await parts.files.register(new)
    except DatabaseUnavailable:  # the file may be there
        raise
    except Exception:
        await parts.usage.release(new.owner, new.length)
        raise
    if not made:
        await parts.usage.release(new.owner, new.length)
    return file, made


async def retry_charged(parts: Service, file: File, changes: dict[str, Any]) -> File | None:
    """`FileRegistry.retry`, its growth charged before. Raises QuotaExceeded."""
    growth = changes.get("length", file.length) - file.length
    await parts.usage.charge(file.owner, max(growth, 0))  # of nothing, too: it announces what is released below
    moved = await parts.files.retry(file, **changes)
    unneeded = -growth if moved else growth
    if unneeded > 0:
        await parts.usage.release(file.owner, unneeded)
    return moved

"""How much an account may have: files that are not stored yet, and bytes in all its files (docs/adr/0008)."""

from contextlib import AbstractAsyncContextManager
from typing import Any

from api.dependencies import Service
from gridhaul.transfer.access import Account
from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.model import File, NewFile


def room_for_one(service: Service, owner: str, account: Account | None) -> AbstractAsyncContextManager[None]:
    """While a file is registered. Raises TooManyOpenFiles. Other api processes may together go a little over it."""
    own = account.max_open_files if account else None
    return service.open_file_limit.one_more(owner, limit=service.max_open_files if own is None else own)


async def register_charged(service: Service, new: NewFile) -> tuple[File, bool]:
    """`FileRegistry.register`, charged before. Raises QuotaExceeded."""
    await service.usage.charge(new.owner, new.length)
    try:
        file, made = await service.files.register(new)
    except DatabaseUnavailable:  # the file may be there
        raise
    except Exception:
        await service.usage.release(new.owner, new.length)
        raise
    if not made:
        await service.usage.release(new.owner, new.length)
    return file, made


async def retry_charged(service: Service, file: File, changes: dict[str, Any]) -> File | None:
    """`FileRegistry.retry`, its growth charged before. Raises QuotaExceeded."""
    growth = changes.get("length", file.length) - file.length
    await service.usage.charge(file.owner, max(growth, 0))  # of nothing, too: it announces what is released below
    moved = await service.files.retry(file, **changes)
    unneeded = -growth if moved else growth
    if unneeded > 0:
        await service.usage.release(file.owner, unneeded)
    return moved

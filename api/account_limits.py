"""Limits of an account: files that are not stored yet, and the bytes of all its files (docs/adr/0008)."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from api.dependencies import Service
from gridhaul.transfer.access import Account
from gridhaul.transfer.errors import DatabaseUnavailable
from gridhaul.transfer.model import File, NewFile


def room_for_one(service: Service, owner: str, *, account: Account | None) -> AbstractAsyncContextManager[None]:
    """Return a context in which the caller registers one more file of the owner. Entering raises TooManyOpenFiles.

    `account` is None for an owner without an account, who gets the server's limit. Registrations at the same moment,
    in this or in other api processes, may together exceed the limit a little.
    """
    account_limit = account.max_open_files if account else None
    limit = service.max_open_files if account_limit is None else account_limit
    return service.open_file_limit.one_more(owner, limit=limit)


async def register_charged(
    service: Service, new: NewFile, register: Callable[[NewFile], Awaitable[tuple[File, bool]]]
) -> tuple[File, bool]:
    """Charge the file's length to the owner's quota, then call `register` of the registry and return its result.

    A charge for a file that was not made is released. Raises QuotaExceeded.
    """
    await service.usage.charge(new.owner, new.length)
    try:
        file, made = await register(new)
    except DatabaseUnavailable:
        # The database may have stored the file before its answer was lost, so the charge stays; a recount corrects it.
        raise
    except Exception:
        await service.usage.release(new.owner, new.length)
        raise
    if not made:
        await service.usage.release(new.owner, new.length)
    return file, made

"""The release of bytes that a file no longer counts against its owner's quota."""

from gridhaul.transfer.model import File
from tasks.runtime import Runtime


async def release_quota(runtime: Runtime, claimed: File) -> None:
    """Release the difference, if the file counts fewer bytes now than when it was claimed.

    A file counts fewer bytes after it was deleted, and after a restart with a smaller source.

    The bytes are released only if the record still has the fence of the claim, so no other worker can have released
    them. Otherwise the recount corrects the account. The caller must have called `announce` before it wrote
    the smaller length or the delete into the record.
    """
    now = await runtime.files.get(claimed.id)
    if now is not None and now.fence == claimed.fence and now.used_bytes < claimed.used_bytes:
        await runtime.usage.release(claimed.owner, claimed.used_bytes - now.used_bytes)

"""The release of bytes that a file no longer counts against its owner's quota."""

from gridhaul.transfer.model import File
from tasks.runtime import Runtime


async def release_quota(runtime: Runtime, claimed: File) -> None:
    """Release the bytes that the file counts less than when it was claimed: it was deleted, or its source got smaller.

    The bytes are released only if the record still has the fence of the claim, so no other worker can have released
    them. Otherwise the recount corrects the account. The caller must have announced the release before it wrote the
    smaller length or the delete into the record.
    """
    now = await runtime.files.get(claimed.id)
    if now is not None and now.fence == claimed.fence and now.used_bytes < claimed.used_bytes:
        await runtime.usage.release(claimed.owner, claimed.used_bytes - now.used_bytes)

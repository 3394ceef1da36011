"""What a file no longer takes is given back to its owner's quota."""

from gridhaul.transfer.model import File
from tasks.runtime import Runtime


async def release_quota(runtime: Runtime, claimed: File) -> None:
    """Release what the file takes less than when it was claimed, once: if its record says so under the same fence.

    What cannot be known for certain is left to the recount. It must have been announced before the record was written.
    """
    now = await runtime.files.get(claimed.id)
    if now is not None and now.fence == claimed.fence and now.used_bytes < claimed.used_bytes:
        await runtime.usage.release(claimed.owner, claimed.used_bytes - now.used_bytes)

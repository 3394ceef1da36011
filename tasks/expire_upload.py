"""The end of an upload that nobody continued in time, or that nobody finished."""

from gridhaul.transfer.model import Hint, RecordId, TaskName
from tasks.celery import app
from tasks.runtime import Runtime, worker


@app.task(name=TaskName.EXPIRE_UPLOAD)
def expire_upload(file_id: str) -> None:
    """Run the journey `expire` for the file id in the message."""
    worker.run(expire, file_id)


async def expire(runtime: Runtime, file_id: str) -> None:
    """Finish the upload if all its bytes count. Otherwise let it expire if its time has come.

    An expired upload has no bytes, and its owner gets the quota back. If the worker is lost in between, gc deletes the
    bytes, and a recount gives back the quota.
    """
    seen = await runtime.files.get(RecordId(file_id))
    if seen is None:
        return
    if await runtime.uploads.leave_to_workers(seen.id) is not None:
        runtime.hints.offer(Hint(task=TaskName.UPLOAD_FILE, record_id=seen.id, queue=seen.queue))
        return
    await runtime.usage.announce(seen.owner)  # a recount between the two writes would take the bytes off once more
    file = await runtime.uploads.expire(seen.id)
    if file is None:
        return
    await runtime.usage.release(file.owner, file.used_bytes)
    if file.content_id is not None:
        await runtime.contents.drop_ref(file.content_id, file.id)

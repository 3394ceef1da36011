"""The end of an upload that nobody continued in time."""

from gridhaul.transfer.model import RecordId, TaskName
from tasks.celery import app
from tasks.runtime import Runtime, worker


@app.task(name=TaskName.EXPIRE_UPLOAD)
def expire_upload(file_id: str) -> None:
    """Run the journey `expire` for the file id in the message."""
    worker.run(expire, file_id)


async def expire(runtime: Runtime, file_id: str) -> None:
    """Let the upload expire if its time has come: delete its bytes, and give its owner the quota back.

    If the worker is lost in between, gc deletes the bytes, and a recount gives back the quota.
    """
    seen = await runtime.files.get(RecordId(file_id))
    if seen is None:
        return
    await runtime.usage.announce(seen.owner)  # a recount between the two writes would take the bytes off once more
    file = await runtime.uploads.expire(seen.id)
    if file is None:
        return
    await runtime.usage.release(file.owner, file.used_bytes)
    if file.content_id is not None:
        await runtime.contents.drop_ref(file.content_id, file.id)

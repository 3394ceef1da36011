"""The journeys that delete files, and the bytes that arrived after their contents were deleted."""

from gridhaul.transfer.model import File, RecordId, TaskName
from gridhaul.transfer.states import FileState
from tasks.attempt import Meter
from tasks.celery import app
from tasks.quota_release import release_quota
from tasks.runtime import Runtime, worker


@app.task(name=TaskName.DELETE_FILE)
def delete_file(file_id: str) -> None:
    """Claim and delete the file whose id is in the message."""
    worker.run(_delete_file, file_id)


@app.task(name=TaskName.SWEEP_CONTENT)
def sweep_content(content_id: str) -> None:
    """Sweep the deleted content whose id is in the message."""
    worker.run(_sweep_content, content_id)


async def _delete_file(runtime: Runtime, file_id: str) -> None:
    deleting = frozenset({FileState.DELETING})
    file = await runtime.files.claim(
        RecordId(file_id), holder=runtime.holder, from_states=deleting, to_state=FileState.DELETING
    )
    if file is not None:
        await runtime.delete_attempts.run(file, lambda _: _delete(runtime, file), Meter(0, lambda _: {}))
        await release_quota(runtime, file)


async def _delete(runtime: Runtime, file: File) -> None:
    """Drop the file's content, then move the file to DELETED. Every step can be repeated."""
    if file.content_id is not None:
        await runtime.contents.drop_ref(file.content_id, file.id)
    await runtime.usage.announce(file.owner)
    await runtime.files.finish(file.lease, FileState.DELETED, stored_bytes=0)


async def _sweep_content(runtime: Runtime, content_id: str) -> None:
    await runtime.contents.sweep(RecordId(content_id))

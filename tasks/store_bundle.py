"""The journey of many small new files together: they are claimed, read, sent and finished at once.

A bundle is only a fast way. If anything goes wrong with a file, the bundle gives the file back as if it had not been
claimed. Then the file makes its own journey (`tasks/upload_file.py`), which reports the error.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from gridhaul.source.opened import CLOCK_TICK_SECONDS, is_settled
from gridhaul.source.roots import Roots
from gridhaul.source.small import read_small
from gridhaul.transfer.bundle import BUNDLE_MAX_BYTES, WholeContent, first_bundle, packed
from gridhaul.transfer.errors import DatabaseUnavailable, GridhaulError, LeaseLost, StopRequested
from gridhaul.transfer.model import File, Hint, RecordId, TaskName
from gridhaul.transfer.states import FileState
from gridhaul.transfer.stored import fields_of_stored
from tasks.attempt import TICK_SECONDS
from tasks.celery import app
from tasks.one_by_one import one_by_one
from tasks.runtime import Runtime, worker
from tasks.upload_file import begin_deliveries, make_deliveries, store_file

LEASE_PART = 3  # a bundle is given up when a third of its leases' time has passed

log = structlog.get_logger(__name__)


@app.task(name=TaskName.STORE_BUNDLE)
def store_bundle(file_ids: list[str]) -> None:
    """Run the journey `store_files` for the file ids in the message."""
    worker.run_in_turn(store_files, file_ids)


async def store_files(runtime: Runtime, file_ids: Sequence[str]) -> None:
    """Store the new files together, then each file that still waits by itself."""
    files = await runtime.files.get_all([*map(RecordId, file_ids)])
    bundle = first_bundle(files)
    _hint_again(runtime, files[len(bundle) :])
    as_claimed, claimed = await _claim(runtime, [file.id for file in bundle])
    if claimed:
        runtime.turns.note(claimed[0].owner)
    await store_claimed(runtime, claimed)
    await one_by_one(runtime, store_file, [file.id for file in as_claimed if file.state is FileState.REGISTERED])


def _hint_again(runtime: Runtime, files: Iterable[File]) -> None:
    """Hint the files that are too many bytes for this bundle: other children take them, behind files that wait now."""
    for file in files:
        runtime.hints.offer(Hint(task=TaskName.STORE_BUNDLE, record_id=file.id, queue=file.queue))


async def claim_new(runtime: Runtime, file_ids: Sequence[RecordId]) -> list[File]:
    """Claim the files that are small, due, and were never claimed. Return those that this call claimed."""
    _, claimed = await _claim(runtime, file_ids)
    return claimed


async def store_claimed(runtime: Runtime, claimed: Sequence[File]) -> None:
    """Store files that `claim_new` returned, begin their deliveries, then store each that was given back by itself."""
    given_back = await _store_together(runtime, claimed) if claimed else set()
    await _deliver(runtime, [file for file in claimed if file.deliver_to and file.id not in given_back])
    await one_by_one(runtime, store_file, [file.id for file in claimed if file.id in given_back])


async def _claim(runtime: Runtime, file_ids: Sequence[RecordId]) -> tuple[Sequence[File], list[File]]:
    """Return all the files, and those of them that this call claimed."""
    contents = {file_id: runtime.contents.new_id() for file_id in file_ids}
    files = await runtime.files.claim_new(contents, holder=runtime.holder)
    return files, [file for file in files if file.content_id == contents[file.id]]


async def _store_together(runtime: Runtime, claimed: Sequence[File]) -> set[RecordId]:
    """Store the claimed files together. Return the ids of the files that were given back."""
    not_stored = {file.id: file for file in claimed}
    try:
        await _while_wanted(runtime, _store_all(runtime, claimed, not_stored))
        log.info("bundle_done", files=len(claimed), given_back=len(not_stored))
    except (GridhaulError, LeaseLost, StopRequested, TimeoutError) as error:
        log.warning("bundle_given_up", code=getattr(error, "code", type(error).__name__), cause=repr(error.__cause__))
    except Exception:
        log.exception("bundle_broke")
    if not_stored:
        with suppress(DatabaseUnavailable):  # leases that are not released run out by themselves
            await runtime.files.release_all([file.lease for file in not_stored.values()])
    return set(not_stored)


async def _deliver(runtime: Runtime, files: Sequence[File]) -> None:
    await begin_deliveries(runtime, await make_deliveries(runtime, [file.id for file in files]))


async def _while_wanted(runtime: Runtime, work: Coroutine[Any, Any, None]) -> None:
    """Run the work. Raises StopRequested if the worker is to stop, and TimeoutError long before the leases end."""
    async with asyncio.timeout(runtime.settings.lease_seconds / LEASE_PART):
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait([task], timeout=TICK_SECONDS))[0]:
                if runtime.stopping():
                    raise StopRequested
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        task.result()


async def _store_all(runtime: Runtime, claimed: Sequence[File], not_stored: dict[RecordId, File]) -> None:
    """Store the files. Each file that is stored is removed from `not_stored`.

    A few requests are under way at a time, while the files of the next request are read: a child holds the bytes of as
    many requests, and of one more.
    """
    if not all(is_settled(file.source.identity) for file in claimed):
        await asyncio.sleep(CLOCK_TICK_SECONDS)
    slots = asyncio.Semaphore(runtime.settings.segments_in_flight)

    async def store(files: Sequence[File], whole: Mapping[RecordId, WholeContent]) -> None:
        try:
            for file in await _store(runtime, files, whole):
                del not_stored[file.id]
        finally:
            slots.release()

    async def read_and_store(storing: asyncio.TaskGroup) -> None:
        for files in packed(claimed, most_bytes=BUNDLE_MAX_BYTES):
            whole = await asyncio.to_thread(_read_all, files, runtime.settings.roots)
            await slots.acquire()
            storing.create_task(store(files, whole))

    try:
        async with asyncio.TaskGroup() as storing:
            await read_and_store(storing)
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def _store(runtime: Runtime, files: Sequence[File], whole: Mapping[RecordId, WholeContent]) -> list[File]:
    """Store files with one request to the chunk service. Return the files that are stored."""
    layouts = await runtime.chunks.store_whole(list(whole.values())) if whole else {}
    done = [file for file in files if file.id in whole and whole[file.id].id in layouts]
    if done:
        fields = {file.lease: fields_of_stored(whole[file.id].seal, layouts[whole[file.id].id]) for file in done}
        await runtime.files.finish_all(fields, FileState.STORED)
    return done


def _read_all(files: Sequence[File], configured: tuple[Path, ...]) -> dict[RecordId, WholeContent]:
    """Return the contents by file id, without files whose source has changed or cannot be read."""
    whole = {}
    for file in files:
        with suppress(GridhaulError):
            whole[file.id] = _read(file, Roots.of_file(file, configured))
    return whole


def _read(file: File, roots: Roots) -> WholeContent:
    segment, seal = read_small(file.source.path, roots, file.source.identity)
    if file.expected is not None:
        file.expected.require(seal)
    assert file.content_id is not None, "a claimed file names a content"  # noqa: S101
    return WholeContent(
        id=file.content_id,
        fence=file.fence,
        file_id=file.id,
        filename=file.name,
        content_type=file.content_type,
        seal=seal,
        chunks=segment.chunks,
        digests=segment.digests,
    )

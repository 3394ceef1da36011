"""Lets the failed files of a batch be stored again: their sources are looked at, because they may have changed."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from gridhaul.source.opened import identify_here
from gridhaul.source.roots import Roots
from gridhaul.source.stability import registered_anew
from gridhaul.transfer.batches import Batch
from gridhaul.transfer.charging import retry_charged
from gridhaul.transfer.errors import GridhaulError, QuotaExceeded, SourceChanged
from gridhaul.transfer.model import File, Queue, RecordId
from gridhaul.transfer.origins import SourceIdentity
from gridhaul.transfer.states import FileState
from tasks.attempt import Tenure
from tasks.runtime import Runtime

FILES_A_LOOK = 500


async def retry_files(runtime: Runtime, batch: Batch, tenure: Tenure, *, states: frozenset[FileState]) -> None:
    """Queue those of the FAILED and CANCELLED files of the batch again that are in one of the states.

    A file whose source cannot be opened now, or that is over the quota now, stays as it is, with its error.
    """
    after = None
    while page := await runtime.batches.members.failed_files(batch.id, after=after, limit=FILES_A_LOOK):
        tenure.check()
        files = [file for file in page if file.state in states]
        identities = await asyncio.to_thread(_identify_all, runtime, files)
        unchanged = [file.id for file in files if file.id in identities and not _changed(file, identities[file.id])]
        await runtime.batches.members.retry_unchanged(unchanged)
        for file in files:
            if file.id in identities and _changed(file, identities[file.id]):
                await _retry_changed(runtime, file, identities[file.id])
        after = page[-1].id


def _identify_all(runtime: Runtime, files: Sequence[File]) -> dict[RecordId, SourceIdentity]:
    """Return the identities of the sources that can be opened, by file id."""
    settings, found = runtime.settings, {}
    for file in files:
        roots = Roots.of_file(file, settings.roots)
        try:
            found[file.id] = identify_here(file.source.path, roots, max_file_bytes=settings.max_file_bytes)
        except GridhaulError:
            continue
    return found


def _changed(file: File, identity: SourceIdentity) -> bool:
    seen_to_change = file.error is not None and file.error.code == SourceChanged.code
    return seen_to_change or not identity.matches(file.source.identity)


async def _retry_changed(runtime: Runtime, file: File, identity: SourceIdentity) -> None:
    queue = Queue.LARGE if identity.size > runtime.settings.large_file_bytes else Queue.SMALL
    changes: dict[str, Any] = {**registered_anew(identity), "queue": queue}
    with suppress(QuotaExceeded):
        await retry_charged(runtime.usage, runtime.files, file, changes=changes)

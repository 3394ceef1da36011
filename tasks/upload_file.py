"""The journey from a source file to a stored content."""

from collections.abc import Sequence
from contextlib import aclosing

from gridhaul.source.opened import Source, identify
from gridhaul.source.roots import Roots
from gridhaul.source.stability import registered_anew, require_still
from gridhaul.transfer.errors import SourceChanged, SourceStartedOver
from gridhaul.transfer.model import (
    Destination,
    File,
    Hint,
    NewDelivery,
    RecordId,
    Seal,
    TaskName,
)
from gridhaul.transfer.origins import IfChanged
from gridhaul.transfer.states import STORABLE, FileState
from gridhaul.transfer.stored import fields_of_stored
from tasks.attempt import Meter, Tenure
from tasks.celery import app
from tasks.finalize_file import deliver_file
from tasks.join_parts import join_parts
from tasks.quota_release import release_quota
from tasks.read_back import read_back
from tasks.runtime import Runtime, worker
from tasks.sending_chunks import HeldChunks, open_content, send_missing


@app.task(name=TaskName.UPLOAD_FILE)
def upload_file(file_id: str) -> None:
    """Run the journey `store_file` for the file id in the message."""
    worker.run_in_turn(store_file, file_id)


async def store_file(runtime: Runtime, file_id: str) -> None:
    """Claim the file and store it, unless the claim fails. Then make the deliveries that were asked for with it."""
    record_id = RecordId(file_id)
    file = await runtime.files.claim(record_id, holder=runtime.holder, from_states=STORABLE, to_state=FileState.STORING)
    if file is not None and file.upload is not None:
        runtime.turns.note(file.owner)
        await (join_parts(runtime, file) if file.upload.parts else read_back(runtime, file))
    elif file is not None:
        runtime.turns.note(file.owner)
        meter = Meter(0 if file.content_outdated else file.stored_bytes, _progress)
        await runtime.file_attempts.run(file, lambda tenure: _store_or_start_over(runtime, file, tenure, meter), meter)
        if file.source.if_changed is IfChanged.RESTART:
            await release_quota(runtime, file)
    await begin_deliveries(runtime, await make_deliveries(runtime, [record_id]))


def _progress(meter: Meter) -> dict[str, object]:
    return {"stored_bytes": meter.furthest, "checked_bytes": meter.checked}


async def _store_or_start_over(runtime: Runtime, file: File, tenure: Tenure, meter: Meter) -> None:
    """Store the file. Under the policy `restart`, register a changed source anew in the write that ends the attempt.

    Each restart counts as an attempt in vain, whatever was stored, so a source that never comes to rest fails in the
    end. Raises SourceStartedOver after a restart.
    """
    try:
        await _store(runtime, file, tenure, meter)
    except SourceChanged as changed:
        if file.source.if_changed is IfChanged.FAIL or file.fruitless_attempts >= runtime.file_attempts.limits.attempts:
            raise
        roots, limit = Roots.of_file(file, runtime.settings.roots), runtime.settings.max_file_bytes
        identity = await identify(file.source.path, roots, max_file_bytes=limit)
        # Charge even 0 bytes: the charge stamps the account, so the recount skips it until `store_file` has released.
        await runtime.usage.charge(file.owner, max(identity.size - file.length, 0))
        meter.start_over({**registered_anew(identity), "fruitless_attempts": file.fruitless_attempts})
        raise SourceStartedOver("The source has changed; it is read anew from its start.") from changed


async def _store(runtime: Runtime, file: File, tenure: Tenure, meter: Meter) -> None:
    if file.expected is not None:
        file.expected.require_length(file.length)
    source = await Source.open(file.source.path, Roots.of_file(file, runtime.settings.roots))
    try:
        held, seal = await _send(runtime, file, source, tenure, meter)
    finally:
        source.close()
    if file.expected is not None:
        file.expected.require(seal)
    layout = await runtime.chunks.seal(held.grant, seal)
    await runtime.files.finish(file.lease, FileState.STORED, **fields_of_stored(seal, layout), rate=meter.rate)


async def _send(runtime: Runtime, file: File, source: Source, tenure: Tenure, meter: Meter) -> tuple[HeldChunks, Seal]:
    """Read the source from its start and send the chunks that are not stored. Raises SourceChanged if it changes."""
    opened = await source.settled_identity()
    source.require(file.source.identity)
    held = await open_content(runtime, file, tenure)
    reader = source.read(file.source.identity)
    chunks_each = runtime.settings.segment_chunks
    async with aclosing(reader.segments(chunks_each)) as segments:
        await send_missing(runtime, segments, held, meter)
    seal = reader.seal()

    def checked(length_bytes: int) -> None:
        meter.checked = length_bytes

    await require_still(source, opened, seal, chunks_each=chunks_each, checked=checked)
    return held, seal


async def make_deliveries(runtime: Runtime, file_ids: Sequence[RecordId]) -> list[NewDelivery]:
    """Make the deliveries that were asked for when the files were registered. Return those that this call queued.

    Every worker that sees a file stored makes this call, also after a worker that died between two deliveries. Each
    delivery is queued by only one call.
    """
    files = await runtime.files.get_all(file_ids)
    stored = [file for file in files if file.state is FileState.STORED and file.deliver_to]
    if not stored:
        return []
    wanted = [_delivery(file, destination) for file in stored for destination in file.deliver_to]
    queued = await runtime.deliveries.make_all(wanted)
    await runtime.files.deliveries_made({file.id: len(file.deliver_to) for file in stored})
    return [new for new in wanted if new.id in queued]


def _delivery(file: File, destination: Destination) -> NewDelivery:
    assert file.sha256 is not None, "a stored file has a digest"  # noqa: S101
    return NewDelivery(
        file_id=file.id,
        owner=file.owner,
        destination=destination,
        length=file.length,
        sha256=file.sha256,
        queue=file.queue,
        source_path=file.origin.shown_path,
        batch_id=file.batch_id,
    )


async def begin_deliveries(runtime: Runtime, queued: Sequence[NewDelivery]) -> None:
    """Do the first delivery at once, and hint the others to all workers.

    A hint for the first would wait behind all files that are still to be stored. The deliveries of a batch need no hint
    of their own: the batch owes hints while one of its deliveries is due.
    """
    alone = [delivery for delivery in queued if delivery.batch_id is None]
    for delivery in alone[1:]:
        runtime.hints.offer(Hint(task=TaskName.FINALIZE_FILE, record_id=delivery.id, queue=delivery.queue))
    for delivery in alone[:1]:
        await deliver_file(runtime, delivery.id)

"""One attempt at one delivery: its record, its content on the way out, and what the target holds of it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from gridhaul.process.stages import StagesStopped
from gridhaul.process.threads import in_thread
from gridhaul.transfer.chunking import CHUNK_BYTES
from gridhaul.transfer.errors import GridhaulError, TargetLocked
from gridhaul.transfer.model import Content, Delivery, File, RemoteObject
from gridhaul.transfer.naming import is_temporary
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.contents import Chunks, ContentReading
from gridhaul.transfer.ports.targets import Leaving, Probed, RepeatableBlocks, Target
from tasks.attempt import Meter, Tenure
from tasks.delivering.final_name import is_content, may_be_ours, was_there
from tasks.delivering.known_targets import remove_leftover
from tasks.delivering.object_reader import ObjectReader
from tasks.delivering.policy import require_possible
from tasks.delivering.sent_object import SentObject
from tasks.runtime import Runtime

R = TypeVar("R")
IsOurs = Callable[[RemoteObject], Awaitable[bool]]


class Sending:
    """The record, content, target and meter that both ways of sending use.

    `delivery` is the record as this attempt has changed it.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        delivery: Delivery,
        file: File,
        content: Content,
        target: Target,
        tenure: Tenure,
        meter: Meter,
    ) -> None:
        self._runtime = runtime
        self.deliveries = runtime.deliveries
        self.delivery = delivery
        self.left_before = delivery.leftovers  # names that earlier attempts noted
        self.source: Attributes | None = file.origin.attributes
        self.content = content
        self.target = target
        self.tenure = tenure
        self.meter = meter
        self.objects = ObjectReader(target, content, meter)
        self.sent = SentObject(self.objects)
        self.replaces = delivery.replaced  # somebody else's object under the final name
        self.has_begun = False  # True: bytes may have reached the target in this attempt

    async def note(self, **changes: Any) -> None:
        """Write changes into the delivery's record, with the progress of the attempt. Raises LeaseLost."""
        await self.deliveries.renew(self.delivery.lease, **{**self.meter.changes(), **changes})
        self.delivery = replace(self.delivery, **changes)

    async def note_upload(self, **changes: Any) -> None:
        """Do what `note` does right before an upload is begun, so that gc can tell the upload from those of others."""
        await self.deliveries.note_upload(self.delivery.lease, **{**self.meter.changes(), **changes})
        self.delivery = replace(self.delivery, **changes)

    async def hold(self) -> None:
        """Renew the lease. Raises LeaseLost if another worker may have the delivery."""
        await self.deliveries.renew(self.delivery.lease)
        self.tenure.check()

    async def require_possible(self) -> None:
        """Raise TargetNotExclusive if the target, as it is known now, cannot do what the delivery's policy needs."""
        await self._runtime.targets.get(self.delivery.target)
        require_possible(self.delivery, self.target)

    async def send(self, write: Callable[[RepeatableBlocks, Leaving], Awaitable[R]], *, offset: int = 0) -> R:
        """Let `write` write the content's bytes from the offset on, each checked before it leaves."""
        blocks = _ContentBlocks(self._runtime.contents, self.content, offset)
        try:
            # Read the first chunk before the target is touched: of a content of up to 16 chunks, all is verified then.
            await in_thread(blocks.begin, when_cancelled=blocks.stop)
            self.tenure.check()
            self.has_begun = True
            bytes_out = _Leaving(self.tenure, self.meter)
            written = await write(blocks, bytes_out.leaving)
            bytes_out.left()
        finally:
            await in_thread(blocks.close)
        return written

    @property
    def temporary_names(self) -> tuple[str, ...]:
        """The names of temporary objects that earlier attempts noted."""
        return tuple(filter(is_temporary, self.delivery.leftovers))

    async def remove_left(self, name: str) -> None:
        """Remove what an attempt left under a temporary name."""
        await self.forget_tag_of(name)
        await remove_leftover(self.target, name, self.delivery.stage)

    async def forget_tag_of(self, name: str) -> None:
        """Forget the tag of the checked object if it is still under this name: then another one has the final name."""
        checked, stage = self.delivery.checked, self.delivery.stage
        if checked is None or checked.temporary_name != name or (stage is not None and stage.upload_id is not None):
            return  # a multipart upload has no object under its temporary name
        if await self.sent.is_there(name):
            await self.note(checked=None)

    async def abandon_stage(self) -> None:
        """Remove the stage at the target, and then from the record.

        Its name stays among the leftovers, because a request that is lost may still write to it, or hold it now.
        """
        stage = self.delivery.stage
        if stage is None:
            return
        await self.hold()  # the stage may be the one that a successor writes
        try:
            await self.remove_left(stage.name)
        except TargetLocked:
            if stage.upload_id is not None:  # only the record tells which upload it is
                raise
        await self.note(stage=None)

    async def abandon_unless_useful(self, error: GridhaulError) -> None:
        """Remove the stage after the error, unless a later attempt can go on with it.

        If that fails, a later attempt or the cleaning removes it.
        """
        if not (error.retryable and self.target.abilities.resumable):
            with suppress(GridhaulError):
                await self.abandon_stage()

    async def take_back(self, name: str, is_ours: IsOurs | None = None) -> None:
        """Remove the object that this delivery put under the final name, but never one that was there before.

        Nothing is done unless the lease still holds. If the target shows the removal, the record notes that no byte of
        the delivery is left under the final name.
        """
        with suppress(GridhaulError):
            await self.hold()
            found = await (self.sent.read_late(name) if self.has_begun else self.sent.read(name))
            if found is not None and is_content(found, self.content):
                return  # the next attempt finds the whole object, and need not send it again
            if found is not None and await (is_ours or self._may_be_ours)(found):
                await self.hold()  # reading it may have taken long
                await self.target.remove(name)
                found = await self.target.find(name, length=self.content.length)
            if found is None or was_there(self.replaces, found):
                await self.note(final_touched=False, leftovers=self.temporary_names)

    def doubt_facts(self) -> None:
        """Ask for a new probe, because the target did what its facts exclude."""
        if isinstance(self.target, Probed):
            self.target.facts_outdated = True

    async def _may_be_ours(self, found: RemoteObject) -> bool:
        return self.has_begun and may_be_ours(self.delivery, self.replaces, found)


def aligned(offset: int, length: int) -> int:
    """Return the offset from which stored chunks can be sent on: the beginning of a chunk, or the end."""
    return offset if offset == length else offset // CHUNK_BYTES * CHUNK_BYTES


class _ContentBlocks:
    """`transfer.ports.targets.RepeatableBlocks` of a content from an offset on, each checked before it is yielded."""

    def __init__(self, contents: ContentReading, content: Content, offset: int) -> None:
        self._contents = contents
        self._content = content
        self._offset = offset
        self._chunks = self._read(offset, content.length)
        self._again: set[Chunks] = set()  # further readings that are not closed
        self._is_stopped = False

    def begin(self) -> None:
        self._chunks.begin()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def again(self, start: int, length: int) -> Iterator[bytes]:
        start += self._offset
        chunks = self._read(start, start + length)
        self._again.add(chunks)
        try:
            if self._is_stopped:
                raise StagesStopped
            yield from chunks
        finally:
            chunks.stop()  # the event loop may end this iteration, so only `close` waits for the reading thread
        self._again.discard(chunks)
        chunks.close()

    def stop(self) -> None:
        self._is_stopped = True
        for chunks in (self._chunks, *self._again):
            chunks.stop()

    def close(self) -> None:
        self.stop()
        for chunks in (self._chunks, *self._again):
            chunks.close()

    def _read(self, start: int, stop: int) -> Chunks:
        if start == stop and start:
            return _NoChunks()
        if not start and stop == self._content.length:
            return self._contents.read(self._content)
        return self._contents.read_range(self._content, start=start, stop=stop)


class _NoChunks:
    """`transfer.ports.contents.Chunks` of a content all of whose bytes the target holds."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def begin(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class _Leaving:
    """Counts the bytes that have left, and checks the lease right before more leave. The thread that sends calls it."""

    def __init__(self, tenure: Tenure, meter: Meter) -> None:
        self._tenure = tenure
        self._meter = meter
        self._on_its_way = 0

    def leaving(self, length: int) -> None:
        """Note that `length` bytes are about to leave, and that the bytes before have left. Raises LeaseLost."""
        self._tenure.check()
        self.left()
        self._on_its_way = length

    def left(self) -> None:
        """Note that the bytes on their way have left."""
        self._meter.add(self._on_its_way)
        self._on_its_way = 0

"""One small delivery among several that are made together: its content is in memory, and each step is a method."""

import time
from collections.abc import Iterator
from typing import Any, Protocol

from gridhaul.process.stages import StagesStopped
from gridhaul.transfer.bundle import CheckedContent
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.model import (
    ATTEMPTS_KEPT,
    CheckedObject,
    CheckedWhen,
    Delivery,
    Evidence,
    FolderEntry,
    Stage,
)
from gridhaul.transfer.naming import temporary_name
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import Probed, Staging
from gridhaul.transfer.states import DeliveryState
from tasks.attempt import AFTER_PROGRESS, Meter
from tasks.delivering.final_name import is_content
from tasks.delivering.look_together import LookingTarget
from tasks.delivering.object_reader import ObjectReader
from tasks.delivering.receipt import Delivered, make_receipt
from tasks.delivering.sent_object import SentObject
from tasks.delivering.shared_leases import SharedLeases

READ_AT_ONCE_BYTES = 1 << 20  # a longer object is read only after the target was asked for its length and digest


class LooksAndCommits(LookingTarget, Staging, Protocol):
    """The abilities that a target needs, so that deliveries to it can be made together."""


class SmallDelivery:
    """The steps are called in the order in which they stand here. Each may raise a GridhaulError or LeaseLost."""

    def __init__(
        self,
        delivery: Delivery,
        whole: CheckedContent,
        source: Attributes | None,
        *,
        target: LooksAndCommits,
        leases: SharedLeases,
    ) -> None:
        self.delivery = delivery
        self.name = delivery.object_name
        self.temporary = temporary_name(self.name, delivery.lease)
        self._content = whole.content
        self._stage = Stage(
            name=self.temporary, final_name=self.name, generation=delivery.fence, length=whole.content.length
        )
        self._chunks = whole.chunks
        self._source = source
        self._target = target
        self._leases = leases
        self._objects = ObjectReader(target, whole.content, Meter(0, lambda _: {}))
        self._sent = SentObject(self._objects)
        self._evidence = Evidence.SIZE
        self._checked: CheckedObject | None = None
        self._rate: float | None = None

    async def send(self) -> None:
        """Write the object under its temporary name, and check it there."""
        began_at = time.monotonic()
        blocks, self._chunks = _InMemory(self._chunks), ()
        await self._write(blocks)
        self._rate = self._content.length / max(time.monotonic() - began_at, 1e-3)
        self._evidence = await self._check()
        self._checked = await self._sent.tagged(self.temporary, self._evidence)

    def said_before_rename(self) -> dict[str, Any]:
        """Return the fields of the record by which a later attempt knows the object, if the rename's answer is lost."""
        length = self._content.length
        progress = {"sent_bytes": length, "sent_bytes_most": length, "rate": self._rate, **AFTER_PROGRESS}
        return {"state": DeliveryState.COMMITTING, "checked": self._checked, **progress}

    async def rename(self) -> None:
        """Give the object its final name, under which a look has found nothing."""
        self._leases.check(self.delivery.id)
        try:
            await self._target.commit_unseen(self._stage)
        except GridhaulError:
            self._doubt_facts()
            raise

    async def confirm(self, entry: FolderEntry | None) -> None:
        """Make sure that the object has its final name: by the folder's entry, or else by a look of its own."""
        if entry == FolderEntry(is_object=True, length=self._content.length):
            return
        try:
            await self._sent.confirm(self.name, checked=self._checked, replaced=None)
        except GridhaulError:
            self._doubt_facts()
            raise

    async def said_at_end(self) -> dict[str, Any]:
        """Return the fields of the delivered record, with the receipt."""
        done = Delivered(name=self.name, evidence=self._evidence, checked=CheckedWhen.BEFORE_COMMIT)
        now = (self._content.length,) if self._content.length else ()
        sent = (*self.delivery.sent_in_attempts, *now)[-ATTEMPTS_KEPT:]
        receipt = await make_receipt(self.delivery, self._objects, self._source, done, sent_in_attempts=sent)
        said = {"receipt": receipt, "sent_bytes": self._content.length, "checked_bytes": 0, "rate": self._rate}
        return {**said, "error": None, "leftovers": (), "sent_in_attempts": receipt.sent_in_attempts}

    async def _write(self, blocks: "_InMemory") -> None:
        stage = await self._target.begin(self._stage)
        await self._target.write(stage, blocks, leaving=self._leaving, confirmed=_not_noted, attributes=self._source)

    def _leaving(self, _: int) -> None:
        self._leases.check(self.delivery.id)

    async def _check(self) -> Evidence:
        if self._content.length <= READ_AT_ONCE_BYTES:
            found = await self._objects.read(self.temporary)
            if found is not None and is_content(found, self._content):
                return found.evidence
        return await self._sent.check(self.temporary)

    def _doubt_facts(self) -> None:
        """Ask for a new probe: the rename may have ended in a way that the facts of the target exclude."""
        if isinstance(self._target, Probed):
            self._target.facts_outdated = True


async def _not_noted(stage: Stage) -> None:
    """Note nothing: an object that is sent from memory in one go is sent anew if that fails."""


class _InMemory:
    """`transfer.ports.targets.RepeatableBlocks` of chunks that are in memory."""

    def __init__(self, chunks: tuple[bytes, ...]) -> None:
        self._chunks = chunks
        self._is_stopped = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if self._is_stopped:
                raise StagesStopped
            yield chunk

    def again(self, start: int, length: int) -> Iterator[bytes]:
        yield b"".join(self._chunks)[start : start + length]

    def stop(self) -> None:
        self._is_stopped = True

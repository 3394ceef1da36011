"""The receipt of a delivery whose object is under its final name."""

from contextlib import suppress
from dataclasses import dataclass

from gridhaul.transfer.attributes import has_mode, has_mtime
from gridhaul.transfer.errors import GridhaulError
from gridhaul.transfer.model import CheckedWhen, Delivery, Evidence, Receipt
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import KeepsAttributes
from tasks.delivering.object_reader import ObjectReader


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """The delivery's object under its final name."""

    name: str
    evidence: Evidence
    checked: CheckedWhen


async def make_receipt(
    delivery: Delivery,
    objects: ObjectReader,
    source: Attributes | None,
    done: Delivered,
    *,
    sent_in_attempts: tuple[int, ...],
) -> Receipt:
    """Return the receipt for the object under the final name.

    The target is asked for the object's attributes, because an earlier attempt or somebody else may have sent it. If it
    does not tell them, they count as not kept: the object has arrived all the same. `source` is None for an upload.
    """
    target, content = objects.target, objects.content
    found: Attributes | None = None
    if isinstance(target, KeepsAttributes):
        with suppress(GridhaulError):
            found = await target.attributes(done.name)
    return Receipt(
        length=content.length,
        sha256=delivery.sha256,
        manifest_root=content.manifest_root or "",
        target=delivery.target,
        object_name=done.name,
        location=target.location(done.name),
        evidence=done.evidence,
        atomic_commit=target.abilities.atomic,
        abilities=target.abilities,
        checked=done.checked,
        sent_in_attempts=sent_in_attempts,
        attempts=delivery.attempts,
        mtime_ns=source.mtime_ns if source else None,
        mode=source.mode if source else None,
        mtime_kept=has_mtime(found, source),
        mode_kept=has_mode(found, source),
    )

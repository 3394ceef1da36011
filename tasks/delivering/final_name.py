"""The choice of the name that a delivery's object gets at its target, before a byte is sent."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from gridhaul.transfer.errors import NotAnObject, ObjectExists, ObjectNameBusy, OutcomeUnknown
from gridhaul.transfer.model import CheckedObject, Content, Delivery, Evidence, IfExists, RemoteObject, Stage
from gridhaul.transfer.naming import delivery_of_temporary, renamed
from gridhaul.transfer.ports.deliveries import HeldNames
from gridhaul.transfer.ports.targets import Staging, Tagging, Target
from tasks.delivering.object_reader import ObjectReader

NAMES_TRIED_AT_MOST = 1000
BUSY_SECONDS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class FinalName:
    """A name that the delivery holds against other deliveries."""

    name: str
    delivered: RemoteObject | None = None  # the object under the name, if it is the content already
    replaces: RemoteObject | None = None  # somebody else's object under the name, if it may be overwritten


async def hold_first_name(deliveries: HeldNames, delivery: Delivery) -> str | None:
    """Hold the first name that the delivery may get, before its target is contacted, and return the name.

    So a delivery keeps its name against later ones while its target is away. Return None if another delivery holds the
    name, and this one may get another name. Raises ObjectNameBusy.
    """
    name = next(_candidates(delivery))
    if await deliveries.hold_name(delivery.lease, name):
        return name
    if delivery.if_exists is IfExists.RENAME:
        return None
    detail = "Another delivery to this name is open, or not cleaned up yet; this one follows."
    raise ObjectNameBusy(detail, retry_after_seconds=BUSY_SECONDS)


async def choose_final_name(
    deliveries: HeldNames, delivery: Delivery, objects: ObjectReader, *, held: str | None
) -> FinalName:
    """Hold a final name for the delivery, unless it is `held`, and return it with what the target has under the name.

    Every attempt makes this call before it sends a byte. Therefore an object that an earlier attempt sent, although its
    outcome was unknown, is found and not sent again. Raises NotAnObject, ObjectExists, OutcomeUnknown.
    """
    for name in _candidates(delivery):
        if name == held or await deliveries.hold_name(delivery.lease, name):
            final = await _judge(delivery, objects, name)
            if final is not None:
                return final
    raise ObjectExists(
        "The target holds other bytes under this name; choose another name, or let the delivery overwrite or rename."
    )


async def _judge(delivery: Delivery, objects: ObjectReader, name: str) -> FinalName | None:
    """Return the final name; None if somebody else's object has the name and may not be overwritten."""
    try:
        found = await _inspect(delivery, objects, name)
    except NotAnObject:
        if delivery.if_exists is IfExists.RENAME:
            return None
        raise
    if found is None:
        return FinalName(name=name)
    if is_content(found, objects.content):
        return FinalName(name=name, delivered=found)
    if checked := await _checked_before(delivery, objects.target, name):
        return FinalName(name=name, delivered=replace(found, evidence=checked.evidence))
    if await _left_by_us(delivery, objects.target, name, found):
        return FinalName(name=name)
    if delivery.if_exists is IfExists.OVERWRITE:
        return FinalName(name=name, replaces=found)
    if is_not_comparable(found, objects.content):
        _refuse_not_comparable(delivery, name)
    return None


async def _checked_before(delivery: Delivery, target: Target, name: str) -> CheckedObject | None:
    """Return the object that an earlier attempt checked and was about to rename, if it has the name now.

    The tags are compared, because the target may serve the object in another form under its final name. The mark of a
    multipart upload does not tell whether the object has all of its parts: `StagedSending.committed_before` looks.
    """
    checked = delivery.checked
    if checked is None or checked.evidence is Evidence.PART_DIGESTS:
        return None
    if name != delivery.final_name or not isinstance(target, Tagging):
        return None
    return checked if await target.tag(name) == checked.tag else None


def _refuse_not_comparable(delivery: Delivery, name: str) -> None:
    """Raise OutcomeUnknown if the object may be this delivery's, else ObjectExists under the policy `fail`."""
    if name == delivery.final_name:  # an earlier attempt held the name, and may have renamed its object to it
        raise OutcomeUnknown(
            "The target serves the object under this name in a form that cannot be compared with the file; look at it, "
            "and deliver again under another name if it is not the file."
        )
    if delivery.if_exists is IfExists.FAIL:
        raise ObjectExists(
            "The target holds an object under this name, in a form that cannot be compared with the file; "
            "choose another name, or let the delivery overwrite or rename."
        )


def is_content(found: RemoteObject, content: Content) -> bool:
    """Return whether the object has the content's length and SHA-256."""
    return (found.length, found.sha256) == (content.length, content.sha256)


def is_not_comparable(found: RemoteObject, content: Content) -> bool:
    """Return whether the object may be the content, but the target does not give its bytes back to compare them."""
    return not found.sha256 and found.length in (None, content.length)


def was_there(before: RemoteObject | None, found: RemoteObject) -> bool:
    """Return whether the object that was found can be the one that had the name before, by what is known of both."""
    if before is None or before.length not in (None, found.length):
        return False
    return before.sha256 in ("", found.sha256) or not found.sha256


def may_be_ours(delivery: Delivery, before: RemoteObject | None, found: RemoteObject) -> bool:
    """Return whether this delivery may have sent the object that was found, or a part of it.

    Such an object is not the one that had the name before, and is not known to be longer than the delivery.
    """
    return (found.length or 0) <= delivery.length and not was_there(before, found)


def mark_of(stage: Stage) -> str:
    """Return the tag of the object that the stage's multipart upload becomes: the stage's name without folders."""
    return PurePosixPath(stage.name).name


async def carries_mark(delivery: Delivery, target: Target, name: str) -> bool:
    """Return whether the object under the name was a multipart upload of the delivery; False if nobody may know."""
    if not isinstance(target, Tagging):
        return False
    try:
        tag = await target.tag(name)
    except OutcomeUnknown:
        return False
    return tag is not None and delivery_of_temporary(tag) == delivery.id


def _candidates(delivery: Delivery) -> Iterator[str]:
    """Yield the names that the delivery may get, in the order in which they are tried."""
    if delivery.if_exists is not IfExists.RENAME:
        yield delivery.object_name
        return
    if delivery.final_name is not None:
        yield delivery.final_name
    for number in range(NAMES_TRIED_AT_MOST):
        yield renamed(delivery.object_name, number)


async def _inspect(delivery: Delivery, objects: ObjectReader, name: str) -> RemoteObject | None:
    try:
        return await objects.inspect(name)
    except OutcomeUnknown:  # the target can only be written to
        was_checked = delivery.checked is not None  # then the stage tells whether it was committed
        if delivery.final_touched and not was_checked and delivery.if_exists is not IfExists.OVERWRITE:
            raise
        return None


async def _left_by_us(delivery: Delivery, target: Target, name: str, found: RemoteObject) -> bool:
    """Return whether an earlier attempt may have sent the object, or a part of it, to the final name."""
    if not delivery.final_touched or name != delivery.final_name:
        return False
    return await may_be_left_by(delivery, target, name, found)


async def may_be_left_by(delivery: Delivery, target: Target, name: str, found: RemoteObject) -> bool:
    """Return whether the delivery may have put the object under its final name: by its mark, where objects have one."""
    if isinstance(target, Staging):
        return await carries_mark(delivery, target, name)
    return may_be_ours(delivery, delivery.replaced, found)

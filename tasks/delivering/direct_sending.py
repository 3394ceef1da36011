"""The way of a delivery to a target that has no stages: straight to the final name, and checked there.

This promises less: whoever reads the target may see a part of the object.
"""

from gridhaul.transfer.errors import GridhaulError, OutcomeUnknown
from gridhaul.transfer.model import CheckedWhen, Evidence
from gridhaul.transfer.ports.targets import DirectPut
from gridhaul.transfer.states import DeliveryState
from tasks.delivering.receipt import Delivered
from tasks.delivering.sending import Sending


async def send_directly(sending: Sending, target: DirectPut, name: str) -> Delivered:
    """Write the object, check it, and return it. Takes it back if that fails."""
    length = sending.content.length
    left = (*sending.temporary_names, name)
    await sending.note(final_touched=True, replaced=sending.replaces, leftovers=left)
    try:
        await sending.send(lambda blocks, leaving: target.put(name, blocks, length=length, leaving=leaving))
        await sending.note(state=DeliveryState.COMMITTING)
        evidence = await sending.sent.check(name)
    except OutcomeUnknown:
        return Delivered(name=name, evidence=Evidence.ACKNOWLEDGED, checked=CheckedWhen.NEVER)
    except GridhaulError:
        await sending.take_back(name)
        raise
    return Delivered(name=name, evidence=evidence, checked=CheckedWhen.AFTER_COMMIT)

"""The way of a delivery to a target that has no stages: straight to the final name, and checked there.

This promises less: whoever reads the target may see a part of the object.
"""

from gridhaul.transfer.errors import GridhaulError, OutcomeUnknown
from gridhaul.transfer.model import CheckedWhen, Evidence
from gridhaul.transfer.ports.targets import DirectPut
from gridhaul.transfer.states import DeliveryState
from tasks.delivering.sending import Sending


async def send_directly(sending: Sending, target: DirectPut, name: str) -> tuple[Evidence, CheckedWhen]:
    """Write the object, check it, and return how its bytes are known. Takes it back if that fails."""
    length = sending.content.length
    left = (*sending.temporary_names, name)
    await sending.note(final_touched=True, replaced=sending.replaces, leftovers=left)
    try:
        await sending.send(lambda blocks, leaving: target.put(name, blocks, length=length, leaving=leaving))
        await sending.note(state=DeliveryState.COMMITTING)
        return await sending.sent.check(name), CheckedWhen.AFTER_COMMIT
    except OutcomeUnknown:
        return Evidence.ACKNOWLEDGED, CheckedWhen.NEVER
    except GridhaulError:
        await sending.take_back(name)
        raise

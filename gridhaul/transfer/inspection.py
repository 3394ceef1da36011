"""The judgement of an object that a target holds: by what the target tells of it, or by reading it."""

from gridhaul.transfer.errors import OutcomeUnknown
from gridhaul.transfer.model import RemoteObject
from gridhaul.transfer.ports.targets import Checked, Target


async def inspect(target: Target, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
    """Return what the target holds under the name; None if it holds nothing.

    `length` and `sha256` are those of the bytes that are looked for. The object is read unless the target tells its
    digest or another length; `checked` is then called as in `Target.read_back`. If the object cannot be read, only what
    the target tells is returned, without a digest.
    What a target tells may show that an object is somebody else's; only reading may show that Gridhaul's own is wrong.
    Raises NotAnObject, OutcomeUnknown.
    """
    found = await target.find(name, length=length)
    if found is None or found.sha256 or found.length not in (None, length):
        return found
    try:
        return await target.read_back(name, length=length, sha256=sha256, checked=checked)
    except OutcomeUnknown:
        return found


def not_shown(checked_bytes: int) -> None:
    """Tell nobody how far a reading has come. Callers that show no progress pass this function as `checked`."""

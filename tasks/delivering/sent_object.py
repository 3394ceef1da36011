"""The object that a target holds of a content that was sent to it, and what is known of its bytes."""

import asyncio

from gridhaul.transfer.errors import OutcomeUnknown, TargetInconsistent, TargetMismatch
from gridhaul.transfer.model import CheckedObject, Evidence, RemoteObject
from gridhaul.transfer.ports.targets import Tagging
from tasks.delivering.final_name import is_content, is_not_comparable
from tasks.delivering.object_reader import ObjectReader

SHOWN_LATE_SECONDS = (0.5, 1.5)  # waits between looks: servers with caches show an older length for a moment


class SentObject:
    """Looks at one target for one content, under the temporary name and then under the final one."""

    def __init__(self, objects: ObjectReader) -> None:
        self._objects = objects
        self._target = objects.target
        self._content = objects.content

    async def check(self, name: str) -> Evidence:
        """Return the evidence that the target holds the right bytes. Raises TargetInconsistent, TargetMismatch.

        Raises TargetMismatch only after the object was read, because a server may tell the length or the digest of
        another form of it.
        """
        for delay in (*SHOWN_LATE_SECONDS, None):
            found = await self._objects.inspect(name)
            if found is not None and (is_content(found, self._content) or is_not_comparable(found, self._content)):
                return found.evidence
            if delay is None or (found is not None and found.length == self._content.length):
                break
            await asyncio.sleep(delay)
        if found is not None and found.evidence is not Evidence.READ_BACK:
            found = await self._objects.read(name)
        if found is None:
            raise TargetInconsistent("The target took the bytes but does not have the object.")
        if not is_content(found, self._content):
            raise TargetMismatch("The target stored other bytes than were sent.")
        return found.evidence

    async def tagged(self, temporary_name: str, evidence: Evidence) -> CheckedObject | None:
        """Return the checked object with its tag; None if the target tells no tag."""
        tag = await self._target.tag(temporary_name) if isinstance(self._target, Tagging) else None
        return None if tag is None else CheckedObject(temporary_name=temporary_name, tag=tag, evidence=evidence)

    async def confirm(self, name: str, *, checked: CheckedObject | None, replaced: RemoteObject | None) -> None:
        """Look whether the renamed object is under the final name, as `confirm_bytes` does.

        The target may have put the object elsewhere, so other bytes under the final name may be somebody else's: this
        method raises OutcomeUnknown for TargetMismatch.
        """
        try:
            await self.confirm_bytes(name, checked=checked, replaced=replaced)
        except TargetMismatch:
            raise OutcomeUnknown(
                "The target renamed the checked object, but gives back other bytes under its final name; it may "
                "have put the object elsewhere, or serve such names in another form."
            ) from None

    async def confirm_bytes(self, name: str, *, checked: CheckedObject | None, replaced: RemoteObject | None) -> None:
        """Look whether the checked object is under the final name, where `replaced` was before.

        Its bytes were checked before. So the object is read only if it may be the replaced one: it has the same length,
        and no tag tells the two apart.
        Raises TargetInconsistent if nothing is there, TargetMismatch if other bytes were read, and OutcomeUnknown if
        the target does not tell.
        """
        found = await self._objects.find(name)
        if found is not None and not await self._is_new(name, found, checked, replaced):
            found = await self._objects.read(name)
            if found is not None and not is_content(found, self._content):
                raise TargetMismatch("The target gives back other bytes under the final name than were checked.")
        if found is None:
            raise TargetInconsistent("The target gave the object its final name, but does not show it.")

    async def read(self, name: str) -> RemoteObject | None:
        """Read the object under the name, if the target shows one, and return its length and digest."""
        if await self._objects.find(name) is None:
            return None
        return await self._objects.read(name)

    async def read_late(self, name: str) -> RemoteObject | None:
        """Read as `read` does, but look again if nothing is shown: the target may not yet have begun to store a PUT."""
        for delay in SHOWN_LATE_SECONDS:
            found = await self.read(name)
            if found is not None:
                return found
            await asyncio.sleep(delay)
        return await self.read(name)

    async def is_there(self, name: str) -> bool:
        """Return whether the target shows an object under the name."""
        return await self._objects.find(name) is not None

    async def _is_new(
        self, name: str, found: RemoteObject, checked: CheckedObject | None, replaced: RemoteObject | None
    ) -> bool:
        """Return whether the object has the content's length, and cannot be the one that was there before."""
        if found.length != self._content.length:
            return False
        if replaced is None or replaced.length not in (None, found.length):
            return True
        return checked is not None and isinstance(self._target, Tagging) and await self._target.tag(name) == checked.tag

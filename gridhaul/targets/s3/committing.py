"""The completion of a multipart upload, which shows its object under the final name."""

from contextlib import suppress

from gridhaul.targets.s3.bucket import FIRST_ONLY, STAGE_FIELD, Bucket
from gridhaul.targets.s3.documents import composite_sha256
from gridhaul.targets.s3.facts import Seen
from gridhaul.targets.s3.lookup import Lookup
from gridhaul.targets.s3.stages import all_parts, begun, mark_of
from gridhaul.transfer.errors import (
    GridhaulError,
    NotAnObject,
    ObjectExists,
    OutcomeUnknown,
    TargetMismatch,
)
from gridhaul.transfer.model import Stage


class Committing:
    """Completes uploads, and compares the object's SHA-256 with that of the parts that were sent."""

    def __init__(self, bucket: Bucket, lookup: Lookup, seen: Seen) -> None:
        self._bucket = bucket
        self._lookup = lookup
        self._seen = seen

    async def commit(self, stage: Stage) -> None:
        """Complete the upload unless the name is taken. The look spares a name that a laxer server would replace."""
        exclusive = self._seen.abilities.exclusive
        with suppress(*((OutcomeUnknown,) if exclusive else ())):  # credentials that may only write cannot look
            if await self._lookup.head(stage.final_name) is not None:
                raise _taken()
        try:
            await self._complete(stage, exclusive=exclusive)
        except NotAnObject:
            raise _taken() from None

    async def replace(self, stage: Stage) -> None:
        """Complete the upload, and replace the object that has the name."""
        await self._complete(stage, exclusive=False)

    async def tag(self, name: str) -> str | None:
        """Return the last part of the name of the stage that the object was written in."""
        answer = await self._lookup.head(name)
        return None if answer is None else answer.headers.get(STAGE_FIELD)

    async def _complete(self, stage: Stage, *, exclusive: bool) -> None:
        upload_id, _ = begun(stage)
        parts = all_parts(stage)
        headers = FIRST_ONLY if exclusive else {}
        async with self._lookup.folder_told(stage.final_name):
            with self._seen.outdated_if_refused():
                told = await self._bucket.complete(
                    stage.final_name, upload_id, parts, length=stage.length, headers=headers
                )
        await self._compare(stage, composite_sha256(parts), told)

    async def _compare(self, stage: Stage, sent: str | None, told: str | None) -> None:
        """Compare the composite SHA-256 of the committed object with that of the parts that were sent.

        Raises TargetMismatch if they differ. The object is removed then, while its mark says that it is this one.
        """
        if sent is None:
            return
        if told is None and self._seen.facts.tells_sha256:
            told = await self._bucket.told_sha256(stage.final_name)
            self._seen.outdated |= told is None
        if told not in (None, sent):
            with suppress(GridhaulError):
                if await self.tag(stage.final_name) == mark_of(stage):
                    await self._bucket.remove(stage.final_name)
            raise TargetMismatch("The target made an object of other bytes than were sent as its parts.")


def _taken() -> ObjectExists:
    return ObjectExists("The target already holds an object under this name.")

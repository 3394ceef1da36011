"""The completion of a multipart upload, which shows its object under the final name."""

from contextlib import suppress

from gridhaul.targets.http_session import FOUND
from gridhaul.targets.s3.bucket import FIRST_ONLY, STAGE_FIELD, Bucket, sha256_told
from gridhaul.targets.s3.documents import composite_sha256
from gridhaul.targets.s3.facts import Seen
from gridhaul.targets.s3.lookup import Lookup
from gridhaul.targets.s3.stages import all_parts, begun
from gridhaul.transfer.errors import NotAnObject, ObjectExists, OutcomeUnknown, TargetMismatch
from gridhaul.transfer.model import Stage


class Committing:
    """Completes uploads, and compares the SHA-256 that the server tells of the object with that of the sent parts."""

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

    async def is_made_of(self, stage: Stage) -> bool:
        """Return whether the server tells the stage's length and composite SHA-256 of the committed object."""
        sent = composite_sha256(all_parts(stage))
        if sent is None:
            return False
        answer = await self._bucket.head_with_sha256(stage.final_name)
        return answer.status in FOUND and (answer.length, sha256_told(answer)) == (stage.length, sent)

    async def _complete(self, stage: Stage, *, exclusive: bool) -> None:
        upload_id, _ = begun(stage)
        parts = all_parts(stage)
        headers = FIRST_ONLY if exclusive else {}
        async with self._lookup.folder_told(stage.final_name):
            with self._seen.outdated_if_refused():
                told = await self._bucket.complete(
                    stage.final_name, upload_id, parts, length=stage.length, headers=headers
                )
        await self._require_proof(stage, told)

    async def _require_proof(self, stage: Stage, told: str | None) -> None:
        """Raise TargetMismatch unless the server tells the composite SHA-256 of the parts that were sent.

        Nothing is required of parts without a SHA-256, and of a server that is not known to tell the object's.
        """
        sent = composite_sha256(all_parts(stage))
        if sent is None or not self._seen.facts.tells_sha256:
            return
        if told is None and not await self.is_made_of(stage):
            self._seen.outdated = True
            raise TargetMismatch("The target made the object, but does not tell the digest of the sent parts.")
        if told not in (None, sent):
            raise TargetMismatch("The target made an object of other bytes than were sent as its parts.")


def _taken() -> ObjectExists:
    return ObjectExists("The target already holds an object under this name.")

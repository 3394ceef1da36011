"""The way of an object's bytes into a multipart upload: its beginning, and the sending of its parts."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial

from gridhaul.targets.s3.bucket import Bucket
from gridhaul.targets.s3.documents import PartTag
from gridhaul.targets.s3.facts import Seen
from gridhaul.targets.s3.part_sizes import part_bytes_of
from gridhaul.targets.s3.parts import Part, small_part
from gridhaul.targets.s3.signing import S3Auth
from gridhaul.targets.s3.stages import begun, mark_of, with_parts_before_offset
from gridhaul.targets.s3.writing import PartWriter
from gridhaul.transfer.errors import GridhaulError, TargetInconsistent, TargetRefused, TargetUnavailable
from gridhaul.transfer.model import Stage
from gridhaul.transfer.ports.targets import Confirmed, Leaving, RepeatableBlocks


class Uploading:
    """Begins uploads, and sends their parts with the digests that the server was seen to compare."""

    def __init__(self, bucket: Bucket, auth: S3Auth, seen: Seen) -> None:
        self._bucket = bucket
        self._auth = auth
        self._seen = seen
        # Whether parts are sent with their SHA-256, by the ids of the uploads that were begun here and have no part.
        self._sends_sha256: dict[str, bool] = {}

    async def begin(self, stage: Stage) -> Stage:
        """Begin an upload. An empty object has one empty part, which is sent here, because no bytes follow."""
        sha256 = self._seen.abilities.digest is not None
        part_bytes = part_bytes_of(stage.length)
        with self._seen.outdated_if_refused():
            upload_id = await self._bucket.create(stage.final_name, stage=mark_of(stage), sha256=sha256)
        stage = replace(stage, upload_id=upload_id, part_bytes=part_bytes)
        if stage.length:
            self._sends_sha256[upload_id] = sha256
            return stage
        return await self._with_empty_part(stage, sha256=sha256)

    async def write(self, stage: Stage, blocks: RepeatableBlocks, *, leaving: Leaving, confirmed: Confirmed) -> Stage:
        """Send the parts from the stage's offset on."""
        _, part_bytes = begun(stage)
        stage = with_parts_before_offset(stage, part_bytes)
        sha256 = self._sends_sha256_in(stage)
        send = partial(self._send, stage)
        writer = PartWriter(stage, part_bytes, blocks, sha256=sha256, leaving=leaving, send=send)
        return await writer.write(confirmed)

    async def _with_empty_part(self, stage: Stage, *, sha256: bool) -> Stage:
        """Send the only part of an empty object. If that fails, abort the upload, of which nobody else knows."""
        try:
            tag = await self._send(stage, small_part(b"", sha256=sha256), _untold)
        except BaseException:
            aborting = asyncio.create_task(self._bucket.abort(stage.final_name, stage.upload_id or ""))
            with suppress(GridhaulError):
                await asyncio.shield(aborting)
            raise
        return replace(stage, parts=(str(tag),))

    async def _send(self, stage: Stage, part: Part, leaving: Leaving) -> PartTag:
        upload_id, _ = begun(stage)
        signed_with = self._auth.clock_offset
        try:
            tag = await self._bucket.put_part(stage.final_name, upload_id, part, leaving=leaving)
            self._require_sent(part, tag)
        except TargetInconsistent:
            self._seen.outdated = True  # the entity tags of a server that encrypts objects now are no MD5 any more
            raise
        except TargetRefused:
            if self._auth.clock_offset == signed_with:
                raise
            raise TargetUnavailable(
                "The target refused a part, and its clock differs from this machine's; set the clock that is wrong."
            ) from None
        return tag

    def _require_sent(self, part: Part, tag: PartTag) -> None:
        """Raise TargetInconsistent if the part's entity tag shows that the server has received other bytes."""
        if self._seen.facts.etag_is_md5 and tag.etag.lower() != part.md5.hex():
            raise TargetInconsistent(f"The target has received other bytes than were sent as part {part.number}.")

    def _sends_sha256_in(self, stage: Stage) -> bool:
        """Return whether the upload's parts are sent with their SHA-256. All parts of one upload are sent alike."""
        if stage.parts:
            return PartTag.read(stage.parts[0]).sha256 is not None
        return self._sends_sha256.pop(stage.upload_id or "", self._seen.abilities.digest is not None)


def _untold(_: int) -> None:
    """Allow an empty part to leave: it holds no byte of the object."""

"""The experiments of a probe: they deliver a small object, tell lies that the server should refuse, and look."""

import http
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gridhaul.targets.http_session import FOUND
from gridhaul.targets.s3.bucket import FIRST_ONLY, STAGE_FIELD, Bucket, sha256_told
from gridhaul.targets.s3.documents import ListedPart, PartTag, composite_sha256
from gridhaul.targets.s3.errors import code_of, error_of
from gridhaul.targets.s3.parts import Part, digest_of, small_part
from gridhaul.targets.s3.scratch import Scratch
from gridhaul.transfer.errors import GridhaulError, ObjectExists, TargetRefused

CONTENT = b"Gridhaul wrote this object to find out what the server does. It may be removed.\n"
OTHER = b"Gridhaul wrote this object where another one was already. It may be removed...\n"
REFUSALS_OF_LIES = frozenset({"BadDigest", "XAmzContentChecksumMismatch"})
MISSING = frozenset({http.HTTPStatus.NOT_FOUND, http.HTTPStatus.FORBIDDEN})


class Experiments:
    """The experiments with one bucket."""

    def __init__(self, bucket: Bucket, names: Scratch) -> None:
        self._bucket = bucket
        self._names = names
        self._sha256 = False  # True: parts are sent with their SHA-256, because the server refused a wrong one
        self._completed: str | None = None  # the composite SHA-256 in the answer to the last completion that counts

    async def run(self) -> dict[str, Any]:
        """Return what was seen: abilities and `S3Facts` together."""
        self._sha256 = await self._refuses(replace(_truth(), sha256=digest_of("sha256", OTHER)))
        seen = await self._deliver_somehow()
        takes_below_object = await self._takes_below_object()
        return {
            **seen,
            "digest": "sha-256" if self._sha256 else None,
            "exclusive": seen["exclusive"] and await self._keeps_the_first(),
            "keeps_names": await self._keeps_names(),
            "takes_below_object": takes_below_object,
            # rclone takes no object below another one. It is not asked for one above another one, either: once that has
            # failed, rclone can no longer remove the probe's objects.
            "takes_above_object": takes_below_object and await self._takes_above_object(),
            "lists": (await self._bucket.explain()).status == http.HTTPStatus.OK,
        }

    async def _refuses(self, lie: Part) -> bool:
        """Return whether the server refuses a part that is sent with a wrong digest."""
        name = self._names.refused
        try:
            upload_id = await self._create(name, sha256=lie.sha256 is not None)
        except TargetRefused:
            return False
        answer = await self._bucket.send_part(name, upload_id, lie, leaving=_untold)
        await self._bucket.abort(name, upload_id)
        if answer.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise error_of(answer)
        return code_of(answer) in REFUSALS_OF_LIES

    async def _deliver_somehow(self) -> dict[str, Any]:
        """Deliver an object with the SHA-256 of its part, if the server refused a wrong one, else without."""
        try:
            return await self._deliver()
        except TargetRefused:
            if not self._sha256:
                raise
        self._sha256 = False
        return await self._deliver()

    async def _deliver(self) -> dict[str, Any]:
        name = self._names.delivered
        upload_id, tag = await self._upload(name, CONTENT)
        held = await self._held(name, upload_id)
        seen = {
            "atomic": not await self._sees(name),
            "resumable": held is not None and (held.etag, held.length) == (tag.etag, len(CONTENT)),
            "etag_is_md5": tag.etag.lower() == digest_of("md5", CONTENT).hex(),
        }
        takes_condition = await self._takes_condition(upload_id, tag)
        await self._require_mark()
        return {
            **seen,
            "exclusive": takes_condition,
            "readable": await self._is_readable(),
            "tells_sha256": await self._tells_sha256(tag),
        }

    async def _held(self, name: str, upload_id: str) -> ListedPart | None:
        """Return the first part as the server lists it; None if it does not list parts for these credentials."""
        with suppress(TargetRefused):
            listed = await self._bucket.parts(name, upload_id)
            return None if listed is None else listed.get(1)
        return None

    async def _takes_condition(self, upload_id: str, tag: PartTag) -> bool:
        """Complete the upload, and return whether the server takes the condition that the name is free."""
        try:
            self._completed = await self._complete(self._names.delivered, upload_id, tag, first_only=True)
        except (ObjectExists, TargetRefused):
            await self._bucket.abort(self._names.delivered, upload_id)
        else:
            return True
        upload_id, tag = await self._upload(self._names.delivered, CONTENT)
        self._completed = await self._complete(self._names.delivered, upload_id, tag, first_only=False)
        return False

    async def _require_mark(self) -> None:
        """Raise TargetRefused if the object has lost its mark."""
        answer = await self._bucket.head(self._names.delivered)
        if answer.status not in FOUND | MISSING:
            raise error_of(answer)
        if answer.status in FOUND and answer.headers.get(STAGE_FIELD) != self._names.beginning:
            raise TargetRefused(
                f"The target does not give back the metadata {STAGE_FIELD} of an object, by which Gridhaul knows its "
                "own objects again; let its server keep the metadata of objects."
            )

    async def _tells_sha256(self, tag: PartTag) -> bool:
        """Return whether the server tells the right composite SHA-256 of the object that was made of the part."""
        expected = composite_sha256([tag])
        return expected is not None and expected == (
            self._completed or sha256_told(await self._bucket.head_with_sha256(self._names.delivered))
        )

    async def _is_readable(self) -> bool:
        """Return whether the credentials may read. Raises TargetRefused if other bytes come back."""
        answer = await self._bucket.get(self._names.delivered)
        if answer.status == http.HTTPStatus.FORBIDDEN:
            return False
        if answer.status != http.HTTPStatus.OK:
            raise error_of(answer)
        if answer.body != CONTENT:
            raise TargetRefused("The target gives back other bytes than it was given; Gridhaul cannot use it.")
        return True

    async def _keeps_the_first(self) -> bool:
        """Return whether the server refuses to complete an upload where an object has the name, and keeps that object.

        Credentials that may not read see only the refusal.
        """
        upload_id, tag = await self._upload(self._names.delivered, OTHER)
        try:
            await self._complete(self._names.delivered, upload_id, tag, first_only=True)
        except ObjectExists:
            await self._bucket.abort(self._names.delivered, upload_id)
            answer = await self._bucket.get(self._names.delivered)
            return answer.status == http.HTTPStatus.FORBIDDEN or answer.body == CONTENT
        return False

    async def _keeps_names(self) -> bool:
        """Return whether the server keeps characters that have a meaning in URLs."""
        try:
            await self._bucket.put(self._names.odd, CONTENT)
        except TargetRefused:
            return False
        return await self._may_hold(self._names.odd) and not any(
            [await self._sees(name) for name in self._names.mangled]
        )

    async def _takes_below_object(self) -> bool:
        """Return whether the server takes an object below another one. Those that do not, fail as if they were ill."""
        await self._bucket.put(self._names.under, CONTENT)
        try:
            await self._bucket.put(self._names.below, CONTENT)
        except GridhaulError:
            return False
        return await self._may_hold(self._names.under) and await self._may_hold(self._names.below)

    async def _takes_above_object(self) -> bool:
        """Return whether the server takes an object above another one. SeaweedFS fails only at the completion."""
        await self._bucket.put(self._names.last, CONTENT)
        upload_id, tag = await self._upload(self._names.over, CONTENT)
        try:
            await self._complete(self._names.over, upload_id, tag, first_only=False)
        except GridhaulError:
            await self._bucket.abort(self._names.over, upload_id)
            return False
        return await self._may_hold(self._names.over) and await self._may_hold(self._names.last)

    async def _create(self, name: str, *, sha256: bool) -> str:
        return await self._bucket.create(name, stage=self._names.beginning, sha256=sha256)

    async def _upload(self, name: str, content: bytes) -> tuple[str, PartTag]:
        """Return the id of a new upload and the tag of its only part."""
        upload_id = await self._create(name, sha256=self._sha256)
        part = small_part(content, sha256=self._sha256)
        return upload_id, await self._bucket.put_part(name, upload_id, part, leaving=_untold)

    async def _complete(self, name: str, upload_id: str, tag: PartTag, *, first_only: bool) -> str | None:
        headers = FIRST_ONLY if first_only else {}
        return await self._bucket.complete(name, upload_id, [tag], length=len(CONTENT), headers=headers)

    async def _sees(self, name: str) -> bool:
        return await self._head(name) in FOUND

    async def _may_hold(self, name: str) -> bool:
        """Return whether the server holds an object, or does not let these credentials know."""
        return await self._head(name) != http.HTTPStatus.NOT_FOUND

    async def _head(self, name: str) -> int:
        answer = await self._bucket.head(name)
        if answer.status not in FOUND | MISSING:
            raise error_of(answer)
        return answer.status


def _truth() -> Part:
    return small_part(CONTENT, sha256=False)


def _untold(_: int) -> None:
    """Allow all bytes to leave: nobody else may write a probe's objects."""

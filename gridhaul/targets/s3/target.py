"""The target: what `transfer.ports.targets` asks of an S3 server."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict

from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.s3.bucket import Bucket
from gridhaul.targets.s3.committing import Committing
from gridhaul.targets.s3.documents import PartTag, composite_sha256
from gridhaul.targets.s3.facts import S3Facts, Seen
from gridhaul.targets.s3.lookup import Lookup
from gridhaul.targets.s3.pages import Pages
from gridhaul.targets.s3.probe import Probe
from gridhaul.targets.s3.signing import S3Auth
from gridhaul.targets.s3.stages import held
from gridhaul.targets.s3.uploading import Uploading
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.errors import NotFound, OutcomeUnknown, TargetLocked
from gridhaul.transfer.model import Evidence, RemoteObject, Stage
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import (
    BeforeWriting,
    Checked,
    Confirmed,
    Facts,
    Leaving,
    RepeatableBlocks,
    UnfinishedUpload,
    UploadsPage,
)

DAY_SECONDS = 86_400.0
ABORTS = 3  # how often an upload is aborted whose parts are still listed, because some arrived late


class S3Target:
    """See `transfer.ports.targets`: `Target`, `Staging`, `Tagging`, `KeepsUploads`, `Listing` and `Probed`.

    A stage is a multipart upload under the object's final key. `Stage.parts` holds a `PartTag` for each part.
    """

    facts_last_seconds = DAY_SECONDS

    def __init__(
        self,
        *,
        name: str,
        session: HttpSession,
        bucket: Bucket,
        auth: S3Auth,
        settings: tuple[str, ...],
        allow_overwrite_race: bool,
    ) -> None:
        """`settings` decide what a probe sees, beside the address of the bucket."""
        self.name = name
        self.fingerprint = s3_fingerprint(session.folder_url(""), settings)
        self.allow_overwrite_race = allow_overwrite_race
        self._session = session
        self._bucket = bucket
        self._seen = Seen()
        self._lookup = Lookup(bucket, self._seen)
        self._uploading = Uploading(bucket, auth, self._seen)
        self._committing = Committing(bucket, self._lookup, self._seen)

    @property
    def abilities(self) -> Abilities:
        return self._seen.abilities

    @property
    def facts_outdated(self) -> bool:
        return self._seen.outdated

    @facts_outdated.setter
    def facts_outdated(self, outdated: bool) -> None:
        self._seen.outdated = outdated

    async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
        seen = await Probe(self._bucket, scratch=scratch).run(before_writing)
        abilities = Abilities(**{name: seen[name] for name in Abilities.__slots__ if name in seen})
        facts = S3Facts(**{name: seen[name] for name in S3Facts.model_fields if name in seen})
        return asdict(abilities) | facts.model_dump()

    async def clear(self, scratch: str) -> None:
        await Probe(self._bucket, scratch=scratch).clear()

    def rely_on(self, facts: Facts) -> bool:
        return self._seen.rely_on(facts)

    def location(self, name: str) -> str:
        return self._session.url(self._bucket.key(name))

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        answer = await self._lookup.head(name)
        if answer is None:
            await self._lookup.refuse_folder(name)
            return None
        return RemoteObject(length=answer.length, sha256="", evidence=Evidence.SIZE)

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        if not self._seen.facts.readable:
            raise OutcomeUnknown("The target's credentials may not read objects.")
        key = self._lookup.key(name)
        return await self._session.read_back(key, length=length, sha256=sha256, checked=checked)

    async def remove(self, name: str) -> None:
        self._lookup.key(name)
        async with self._lookup.folder_told(name):
            await self._bucket.remove(name)

    async def begin(self, stage: Stage) -> Stage:
        self._lookup.key(stage.final_name)
        await self._lookup.refuse_object_above(stage.final_name)
        return await self._uploading.begin(stage)

    async def resume(self, stage: Stage) -> Stage | None:
        """Return the stage up to the first part that the server does not list as it was confirmed."""
        if stage.upload_id is None or stage.part_bytes is None or not self.abilities.resumable:
            return None
        try:
            listed = await self._bucket.parts(stage.final_name, stage.upload_id)
        except NotFound:
            return None
        if listed is None:
            self._seen.outdated = True
            return None
        return held(stage, stage.part_bytes, listed)

    async def write(
        self,
        stage: Stage,
        blocks: RepeatableBlocks,
        *,
        leaving: Leaving,
        confirmed: Confirmed,
        attributes: Attributes | None = None,
    ) -> Stage:
        if stage.is_whole:
            return stage
        return await self._uploading.write(stage, blocks, leaving=leaving, confirmed=confirmed)

    async def proof(self, stage: Stage) -> Evidence | None:
        """Return the evidence if the server has compared each part's SHA-256, and was seen to refuse a wrong one.

        It also counts only at a server that tells the object's composite SHA-256, which the commit compares.
        """
        is_proved = self.abilities.digest is not None and self._seen.facts.tells_sha256 and stage.is_whole
        if is_proved and composite_sha256([PartTag.read(part) for part in stage.parts]) is not None:
            return Evidence.PART_DIGESTS
        return None

    async def commit(self, stage: Stage) -> None:
        await self._committing.commit(stage)

    async def replace(self, stage: Stage) -> None:
        await self._committing.replace(stage)

    async def is_made_of(self, stage: Stage) -> bool:
        return await self._committing.is_made_of(stage)

    async def abandon(self, stage: Stage) -> None:
        """Abort the upload. A part that was under way may arrive after that, so the parts are listed again.

        Raises TargetLocked if parts go on arriving.
        """
        if stage.upload_id is not None:
            await self._abort(stage.final_name, stage.upload_id)

    async def tag(self, name: str) -> str | None:
        return await self._committing.tag(name)

    async def names(self, folder: str) -> AsyncGenerator[str]:
        if not self._seen.facts.lists:
            raise OutcomeUnknown("The target's credentials may not list objects.")
        async with aclosing(self._bucket.keys_in(folder)) as names:
            async for name in names:
                yield name

    async def unfinished(self, beginning: str = "", *, after: str = "") -> UploadsPage:
        pages = Pages(json.loads(after) if after else None)
        uploads = await self._bucket.uploads(beginning, pages)
        return UploadsPage(uploads=uploads, following=json.dumps(pages.marker) if pages.marker else "")

    async def abort(self, upload: UnfinishedUpload) -> bool:
        return await self._abort(upload.name, upload.upload_id)

    async def _abort(self, name: str, upload_id: str) -> bool:
        """Abort the upload until none of its parts is listed. Return False if there was no such upload."""
        for earlier_aborts in range(ABORTS):
            if not await self._bucket.abort(name, upload_id):
                return earlier_aborts > 0
            if not self.abilities.resumable:
                return True
            try:
                if not await self._bucket.parts(name, upload_id):
                    return True
            except NotFound:
                return True
        raise TargetLocked("Parts of the abandoned upload still arrive at the target; it is aborted again later.")

    async def close(self) -> None:
        await self._session.close()


def s3_fingerprint(url: str, settings: tuple[str, ...]) -> str:
    return fingerprint("s3", url.rstrip("/"), *settings)

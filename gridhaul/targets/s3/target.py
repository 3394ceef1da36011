"""The target: what `transfer.ports.targets` asks of an S3 server."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial

from gridhaul.targets.abilities import abilities_in
from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.s3.bucket import FIRST_ONLY, STAGE_FIELD, Bucket, Upload
from gridhaul.targets.s3.documents import PartTag, composite_sha256
from gridhaul.targets.s3.facts import S3Facts, facts_in
from gridhaul.targets.s3.lookup import Lookup
from gridhaul.targets.s3.part_sizes import is_buffered, part_bytes_of
from gridhaul.targets.s3.parts import Part, small_part
from gridhaul.targets.s3.probe import Probe
from gridhaul.targets.s3.signing import S3Auth
from gridhaul.targets.s3.stages import all_parts, begun, held, mark_of, with_parts_before_offset
from gridhaul.targets.s3.writing import PartWriter
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.errors import (
    GridhaulError,
    NotFound,
    ObjectExists,
    OutcomeUnknown,
    TargetInconsistent,
    TargetLocked,
    TargetMismatch,
    TargetRefused,
    TargetUnavailable,
)
from gridhaul.transfer.model import Evidence, RemoteObject, Stage
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import BeforeWriting, Blocks, Checked, Confirmed, Facts, Leaving

DAY_SECONDS = 86_400.0
ABORTS = 3  # how often an upload is aborted whose parts are still listed, because some arrived late


class S3Target:
    """See `transfer.ports.targets`: `Target`, `Staging`, `Tagging`, `Listing` and `Probed`.

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
        self.facts_outdated = False
        self.abilities = Abilities()
        self.allow_overwrite_race = allow_overwrite_race
        self._session = session
        self._bucket = bucket
        self._auth = auth
        self._lookup = Lookup(bucket)
        self._facts = S3Facts()
        # Whether parts are sent with their SHA-256, by the ids of the uploads that were begun here and have no part.
        self._sends_sha256: dict[str, bool] = {}

    async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
        seen = await Probe(self._bucket, scratch=scratch).run(before_writing)
        abilities = Abilities(**{name: seen[name] for name in Abilities.__slots__ if name in seen})
        facts = S3Facts(**{name: seen[name] for name in S3Facts.model_fields if name in seen})
        return asdict(abilities) | facts.model_dump()

    async def clear(self, scratch: str) -> None:
        await Probe(self._bucket, scratch=scratch).clear()

    def rely_on(self, facts: Facts) -> bool:
        abilities, seen = abilities_in(facts), facts_in(facts)
        if abilities is None or seen is None:
            return False
        self.abilities, self._facts, self._lookup.facts = abilities, seen, seen
        return True

    def location(self, name: str) -> str:
        return self._session.url(self._bucket.key(name))

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        answer = await self._lookup.head(name)
        if answer is None:
            await self._lookup.refuse_folder(name)
            return None
        return RemoteObject(length=answer.length, sha256="", evidence=Evidence.SIZE)

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        if not self._facts.readable:
            raise OutcomeUnknown("The target's credentials may not read objects.")
        key = self._lookup.key(name)
        return await self._session.read_back(key, length=length, sha256=sha256, checked=checked)

    async def remove(self, name: str) -> None:
        self._lookup.key(name)
        await self._bucket.remove(name)

    async def begin(self, stage: Stage) -> Stage:
        """Begin a multipart upload. An empty object has one empty part, which is sent here, because no bytes follow."""
        self._lookup.key(stage.final_name)
        await self._lookup.refuse_object_above(stage.final_name)
        part_bytes = part_bytes_of(stage.length)
        sha256 = self._proves(part_bytes)
        with self._outdated_if_refused():
            upload_id = await self._bucket.create(stage.final_name, stage=mark_of(stage), sha256=sha256)
        stage = replace(stage, upload_id=upload_id, part_bytes=part_bytes)
        if stage.length:
            self._sends_sha256[upload_id] = sha256
            return stage
        return await self._with_empty_part(stage, sha256=sha256)

    async def resume(self, stage: Stage) -> Stage | None:
        """Return the stage up to the first part that the server does not list as it was confirmed."""
        if stage.upload_id is None or stage.part_bytes is None or not self.abilities.resumable:
            return None
        try:
            listed = await self._bucket.parts(stage.final_name, stage.upload_id)
        except NotFound:
            return None
        if listed is None:
            self.facts_outdated = True
            return None
        return held(stage, stage.part_bytes, listed)

    async def write(
        self,
        stage: Stage,
        blocks: Blocks,
        *,
        leaving: Leaving,
        confirmed: Confirmed,
        attributes: Attributes | None = None,
    ) -> Stage:
        if stage.is_whole:
            return stage
        _, part_bytes = begun(stage)
        stage = with_parts_before_offset(stage, part_bytes)
        sha256 = self._sends_sha256_in(stage, part_bytes)
        send = partial(self._send, stage)
        writer = PartWriter(stage, part_bytes, blocks, sha256=sha256, leaving=leaving, send=send)
        return await writer.write(confirmed)

    async def proof(self, stage: Stage) -> Evidence | None:
        """Return the evidence if the server has compared each part's SHA-256, and was seen to refuse a wrong one.

        It also counts only at a server that tells the object's composite SHA-256, which the commit compares.
        """
        is_proved = self.abilities.digest is not None and self._facts.tells_sha256 and stage.is_whole
        if is_proved and composite_sha256([PartTag.read(part) for part in stage.parts]) is not None:
            return Evidence.PART_DIGESTS
        return None

    async def commit(self, stage: Stage) -> None:
        """Complete the upload unless the name is taken. The look spares a name that a laxer server would replace."""
        exclusive = self.abilities.exclusive
        with suppress(*((OutcomeUnknown,) if exclusive else ())):  # credentials that may only write cannot look
            if await self._lookup.head(stage.final_name) is not None:
                raise ObjectExists("The target already holds an object under this name.")
        await self._complete(stage, exclusive=exclusive)

    async def replace(self, stage: Stage) -> None:
        await self._complete(stage, exclusive=False)

    async def abandon(self, stage: Stage) -> None:
        """Abort the upload. A part that was under way may arrive after that, so the parts are listed again.

        Raises TargetLocked if parts go on arriving.
        """
        if stage.upload_id is None:
            return
        for _ in range(ABORTS):
            if not await self._bucket.abort(stage.final_name, stage.upload_id) or not self.abilities.resumable:
                return
            try:
                if not await self._bucket.parts(stage.final_name, stage.upload_id):
                    return
            except NotFound:
                return
        raise TargetLocked("Parts of the abandoned upload still arrive at the target; it is aborted again later.")

    async def tag(self, name: str) -> str | None:
        """Return the last part of the name of the stage that the object was written in."""
        answer = await self._lookup.head(name)
        return None if answer is None else answer.headers.get(STAGE_FIELD)

    async def names(self, folder: str) -> AsyncGenerator[str]:
        if not self._facts.lists:
            raise OutcomeUnknown("The target's credentials may not list objects.")
        async with aclosing(self._bucket.keys_in(folder)) as names:
            async for name in names:
                yield name

    async def unfinished(self, beginning: str = "") -> list[Upload]:
        """Return the uploads, of anybody, that are neither completed nor aborted, of names that begin like this."""
        return await self._bucket.uploads(beginning)

    async def close(self) -> None:
        await self._session.close()

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
            self.facts_outdated = True  # the entity tags of a server that encrypts objects now are no MD5 any more
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
        if self._facts.etag_is_md5 and tag.etag.lower() != part.sent_md5.hexdigest():
            raise TargetInconsistent(f"The target has received other bytes than were sent as part {part.number}.")

    async def _complete(self, stage: Stage, *, exclusive: bool) -> None:
        upload_id, _ = begun(stage)
        parts = all_parts(stage)
        headers = FIRST_ONLY if exclusive else {}
        with self._outdated_if_refused():
            told = await self._bucket.complete(stage.final_name, upload_id, parts, length=stage.length, headers=headers)
        await self._compare(stage, composite_sha256(parts), told)

    async def _compare(self, stage: Stage, sent: str | None, told: str | None) -> None:
        """Compare the composite SHA-256 of the committed object with that of the parts that were sent.

        Raises TargetMismatch if they differ. The object is removed then, while its mark says that it is this one.
        """
        if sent is None:
            return
        if told is None and self._facts.tells_sha256:
            told = await self._bucket.told_sha256(stage.final_name)
            self.facts_outdated |= told is None
        if told not in (None, sent):
            with suppress(GridhaulError):
                if await self.tag(stage.final_name) == mark_of(stage):
                    await self.remove(stage.final_name)
            raise TargetMismatch("The target made an object of other bytes than were sent as its parts.")

    @contextmanager
    def _outdated_if_refused(self) -> Iterator[None]:
        """Ask for a new probe if the server refuses what it did for the last one."""
        try:
            yield
        except TargetRefused:
            self.facts_outdated = True
            raise

    def _sends_sha256_in(self, stage: Stage, part_bytes: int) -> bool:
        """Return whether the upload's parts are sent with their SHA-256. All parts of one upload are sent alike."""
        if stage.parts:
            return PartTag.read(stage.parts[0]).sha256 is not None
        return self._sends_sha256.pop(stage.upload_id or "", self._proves(part_bytes))

    def _proves(self, part_bytes: int) -> bool:
        """Return whether an upload is begun for parts with their SHA-256.

        The server was seen to compare it then, and it is known before a part is sent.
        """
        return self.abilities.digest is not None and is_buffered(part_bytes)


def _untold(_: int) -> None:
    """Allow an empty part to leave: it holds no byte of the object."""


def s3_fingerprint(url: str, settings: tuple[str, ...]) -> str:
    return fingerprint("s3", url.rstrip("/"), *settings)

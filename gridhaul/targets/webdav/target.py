"""The target: what `transfer.ports.targets` asks of a WebDAV server."""

import http
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gridhaul.targets.http_session import FOUND, GONE, REMOVED, STORED, Answer, HttpSession
from gridhaul.targets.oddities import lost_in
from gridhaul.targets.webdav.folders import Folders
from gridhaul.targets.webdav.listing import entries_in, names_in
from gridhaul.targets.webdav.lookup import Lookup
from gridhaul.targets.webdav.move import move
from gridhaul.targets.webdav.partial_put import can_go_on
from gridhaul.targets.webdav.probe import Probe
from gridhaul.targets.webdav.writing import Writing
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.errors import (
    GridhaulError,
    NotFound,
    ObjectExists,
    OutcomeUnknown,
    TargetInconsistent,
    TargetRefused,
)
from gridhaul.transfer.model import Evidence, FolderEntry, RemoteObject, Stage
from gridhaul.transfer.origins import Attributes
from gridhaul.transfer.ports.targets import BeforeWriting, Blocks, Checked, Confirmed, Facts, Leaving

EtagDigest = Literal["sha-256"]

DAY_SECONDS = 86_400.0
_SHA256_ETAG = re.compile(r'"([0-9a-f]{64})"')


class _Facts(BaseModel):
    """The facts of a WebDAV server, as its probe returns them."""

    model_config = ConfigDict(strict=True)

    propfind: bool
    destination: str  # what stands before an object's name in the `Destination` header
    tags: bool  # objects of one length have different ETags
    lost: list[str]  # labels of the oddities that the server does not keep in names
    exclusive: bool  # MOVE with `Overwrite: F` leaves an object that has the name
    free_space: bool  # the server tells how much it can still take
    resumable: bool  # a PUT that breaks off leaves what has arrived, and a partial PUT goes on from there


class WebDavTarget:
    """See `transfer.ports.targets`: `Target`, `Staging`, `Tagging`, `Listing`, `LooksTogether` and `Probed`.

    Existence and length are judged by properties (PROPFIND) where the server has them, because HEAD and GET may speak
    of another form of an object: compressed, or made from it.
    DELETE of a folder, and MOVE with `Overwrite: T` onto a folder, remove all that the folder holds; some servers move
    an object into a folder that has the new name. So before each of them this target asks what is under the name.
    Some servers (rclone) replace an object by removing it and then renaming: for a moment nothing is under the name.
    """

    facts_last_seconds = DAY_SECONDS

    def __init__(
        self,
        *,
        name: str,
        session: HttpSession,
        username: str | None,
        etag_digest: EtagDigest | None,
        destination_bases: Sequence[str],
        allow_overwrite_race: bool = False,
    ) -> None:
        self.name = name
        self.fingerprint = webdav_fingerprint(session.folder_url(""), username, destination_bases)
        self.allow_overwrite_race = allow_overwrite_race
        self.facts_outdated = False
        self.abilities = Abilities()
        self._session = session
        self._etag_digest = etag_digest
        self._bases = destination_bases
        self._base = destination_bases[0]
        self._tags = False
        self._lost: frozenset[str] = frozenset()
        self._lookup = Lookup(session)
        self._folders = Folders(session, self._lookup)
        self._writing = Writing(session, self._lookup, self._folders)

    async def probe(self, scratch: str, before_writing: BeforeWriting) -> Facts:
        return await self._new_probe(scratch).run(before_writing)

    async def clear(self, scratch: str) -> None:
        await self._lookup.look("")  # raises if credentials are refused, which `Probe.clear` takes for a missing object
        await self._new_probe(scratch).clear()

    def rely_on(self, facts: Facts) -> bool:
        try:
            seen = _Facts.model_validate(facts)
        except ValidationError:
            return False
        self._lookup.has_propfind = seen.propfind
        self._base = seen.destination
        self._tags = seen.tags
        self._lost = frozenset(seen.lost)
        digest = "sha-256" if self._etag_digest else None
        self.abilities = Abilities(
            atomic=True,
            exclusive=seen.exclusive,
            resumable=seen.resumable,
            digest=digest,
            free_space=seen.free_space,
        )
        return seen.destination in self._bases

    def location(self, name: str) -> str:
        return self._session.url(name)

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        self._require_kept(name)
        found = await self._lookup.look_for_object(name)
        if found is None:
            return None
        sha256 = await self._told_digest(name, length=length) if self._etag_digest else None
        evidence = Evidence.SIZE if sha256 is None else Evidence.REMOTE_DIGEST
        return RemoteObject(length=found.length, sha256=sha256 or "", evidence=evidence)

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        return await self._session.read_back(name, length=length, sha256=sha256, checked=checked)

    async def begin(self, stage: Stage) -> Stage:
        """Return the stage as it is: `write` makes the temporary object."""
        return stage

    async def resume(self, stage: Stage) -> Stage | None:
        """Return the stage as far as its object reaches: each byte was written before those that follow it.

        Where the server has no partial PUT, only a whole object can be used.
        """
        found = await self.find(stage.name, length=stage.length)
        if found is None or found.length is None or found.length > stage.length:
            return None
        reached = replace(stage, offset=found.length)
        return reached if reached.is_whole or (self.abilities.resumable and can_go_on(reached)) else None

    async def write(
        self,
        stage: Stage,
        blocks: Blocks,
        *,
        leaving: Leaving,
        confirmed: Confirmed,
        attributes: Attributes | None = None,
    ) -> Stage:
        """Send the rest of the object in one request, so nothing is confirmed before the end."""
        if stage.offset and stage.is_whole:
            return stage
        try:
            await self._writing.write(stage, blocks, leaving=leaving, resumable=self.abilities.resumable)
        except (TargetInconsistent, NotFound):  # also servers that ignore `Content-Range` answer as to a new object
            self.facts_outdated = True
            raise
        return replace(stage, offset=stage.length)

    async def proof(self, stage: Stage) -> Evidence | None:
        """Return None: `find` tells a digest, or the object is read back."""
        return None

    async def remove(self, name: str) -> None:
        if await self._lookup.look_for_object(name) is None:
            return
        await self._session.delete(name, accepted=REMOVED)

    async def commit(self, stage: Stage) -> None:
        if await self._lookup.look(stage.final_name) is not None:  # lighttpd would move the object into a folder
            raise _taken()
        await self._move_to_free_name(stage)

    async def commit_unseen(self, stage: Stage) -> None:
        if self.abilities.exclusive:
            await self._move_to_free_name(stage)
        else:  # the server replaces an object that has the name, so only a look right before protects that object
            await self.commit(stage)

    async def replace(self, stage: Stage) -> None:
        await self._require_object(stage.name)  # without a temporary object rclone would only remove the final one
        await self._lookup.look_for_object(stage.final_name)  # raises if a folder has the name
        answer = await self._move(stage.name, stage.final_name, overwrite="T")
        if answer.status not in STORED:
            raise self._refused_move(answer)

    async def abandon(self, stage: Stage) -> None:
        await self.remove(stage.name)

    async def tag(self, name: str) -> str | None:
        """Return the ETag. Servers make it of the object's time of writing, which stays when the object is renamed.

        With `etag_digest` there is no tag: equal objects have equal ETags, and `find` tells the digest.
        """
        return await self._lookup.etag(name) if self._tags and not self._etag_digest else None

    async def names(self, folder: str) -> AsyncGenerator[str]:
        if not self._lookup.has_propfind:
            raise OutcomeUnknown("The target's server cannot list its folders.")
        async with aclosing(names_in(self._session, folder)) as names:
            async for name in names:
                yield name

    async def entries(self, folder: str, *, at_most: int) -> Mapping[str, FolderEntry] | None:
        if not self._lookup.has_propfind:
            return None
        return await entries_in(self._session, folder, at_most=at_most)

    async def free_bytes(self) -> int | None:
        return await self._lookup.free_bytes()

    async def close(self) -> None:
        await self._session.close()

    def _new_probe(self, scratch: str) -> Probe:
        return Probe(self._session, self._lookup, bases=self._bases, scratch=scratch)

    async def _told_digest(self, name: str, *, length: int) -> str | None:
        """Return the SHA-256 that the server gives as the object's ETag; None if the ETag is something else."""
        head = await self._session.head(name, length=length, headers={})
        if head.status not in FOUND | GONE:
            raise head.error()
        found = _SHA256_ETAG.fullmatch(head.headers.get("ETag", ""))
        return found[1] if found else None

    async def _move(self, source: str, destination: str, *, overwrite: Literal["T", "F"]) -> Answer:
        self._require_kept(destination)
        await self._folders.make(destination)
        return await move(self._session, source, destination, base=self._base, overwrite=overwrite)

    async def _move_to_free_name(self, stage: Stage) -> None:
        answer = await self._move(stage.name, stage.final_name, overwrite="F")
        if answer.status in STORED:
            return
        if answer.status == http.HTTPStatus.PRECONDITION_FAILED:
            raise _taken()
        await self._require_object(stage.name)  # rclone answers 403 if the temporary object is missing
        raise self._refused_move(answer)

    async def _require_object(self, name: str) -> None:
        if await self._lookup.look_for_object(name) is None:
            raise NotFound("The temporary object is no longer at the target.")

    def _require_kept(self, name: str) -> None:
        """Raise TargetRefused if the probe saw that the server does not keep names like this one."""
        if oddity := lost_in(name, self._lost):
            raise TargetRefused(
                f"The target's server loses {oddity.label} of a name when it renames an object; choose another name."
            )

    def _refused_move(self, answer: Answer) -> GridhaulError:
        """Return the error, and ask for a new probe, because the probe saw the server rename an object."""
        self.facts_outdated = True
        self._folders.forget()
        return answer.error()


def webdav_fingerprint(url: str, username: str | None, destination_bases: Sequence[str]) -> str:
    return fingerprint("webdav", url.rstrip("/"), username or "", *destination_bases)


def _taken() -> ObjectExists:
    return ObjectExists("The target already holds an object under this name.")

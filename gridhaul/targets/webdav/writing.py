"""Writes temporary objects to a WebDAV server, and explains its refusals."""

import http

from gridhaul.targets.http_errors import CREDENTIALS, name_of_folder
from gridhaul.targets.http_session import STORED, Answer, HttpSession
from gridhaul.targets.webdav.folders import Folders
from gridhaul.targets.webdav.lookup import Lookup
from gridhaul.targets.webdav.partial_put import SMALLEST_BYTES, no_partial_put, put_rest
from gridhaul.transfer.errors import GridhaulError, TargetFull, TargetInconsistent, TargetUnavailable
from gridhaul.transfer.model import Stage
from gridhaul.transfer.ports.targets import Blocks, Leaving

NO_FOLDER = frozenset({http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT})  # answers to PUT: a folder is missing


class Writing:
    """The temporary objects of one target."""

    def __init__(self, session: HttpSession, lookup: Lookup, folders: Folders) -> None:
        self._session = session
        self._lookup = lookup
        self._folders = folders

    async def write(self, stage: Stage, blocks: Blocks, *, leaving: Leaving, resumable: bool) -> None:
        """Write the stage's bytes from its offset on, as `transfer.ports.targets.Staging.write` says.

        If the server was seen to be `resumable`, a later attempt can go on with a large object.
        Raises TargetInconsistent if the server does what that excludes.
        """
        await self._folders.make(stage.name)
        in_parts = resumable and stage.length >= SMALLEST_BYTES
        try:
            if in_parts:
                answer = await put_rest(self._session, stage, blocks, leaving=leaving)
            else:
                answer = await self._session.send(stage.name, blocks, length=stage.length, leaving=leaving)
        except TargetInconsistent:
            raise
        except TargetUnavailable as broken:
            raise await self._full(stage) or broken from broken.__cause__
        if answer.status not in STORED:
            self._folders.forget()
            raise await self._refused(stage, answer)
        if in_parts:
            await self._require_whole(stage)

    async def _require_whole(self, stage: Stage) -> None:
        """Raise TargetInconsistent if the server has taken the body of a partial PUT for the whole object."""
        found = await self._lookup.look_for_object(stage.name)
        if found is None or found.length not in (None, stage.length):
            raise no_partial_put()

    async def _refused(self, stage: Stage, answer: Answer) -> GridhaulError:
        """Return the error that the answer to PUT stands for."""
        name = stage.name
        if answer.leads_to_folder(self._session.url(name)):
            return name_of_folder()
        if answer.status in NO_FOLDER and "/" in name:
            return TargetUnavailable("The object's folder at the target was removed; the next attempt makes it again.")
        if answer.status not in CREDENTIALS and (full := await self._full(stage)):
            return full
        if answer.status == http.HTTPStatus.METHOD_NOT_ALLOWED:  # rclone's answer when its disk is full
            return TargetFull(
                "The target answered 405, although it took the small objects of the probe; is its disk full?"
            )
        # nginx and lighttpd answer 500 when their disk is full.
        if answer.status == http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return TargetUnavailable("The target answered 500 to an object; is its disk full? Its log tells more.")
        return answer.error()

    async def _full(self, stage: Stage) -> TargetFull | None:
        """Return the error to raise if the server tells that it has no space for what is missing of the object."""
        try:
            free = await self._lookup.free_bytes()
            held = await self._lookup.look_for_object(stage.name) if free is not None else None
        except GridhaulError:
            return None
        missing = stage.length - ((held and held.length) or 0)
        if free is None or free >= missing:
            return None
        return TargetFull(f"The target's disk is full: {free} bytes are free, and the object needs {missing}.")

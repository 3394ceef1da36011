"""The folders that objects at a WebDAV server need."""

import asyncio
import http

from gridhaul.targets.http_session import HttpSession
from gridhaul.targets.names import split_name
from gridhaul.targets.webdav.lookup import Lookup, file_for_folder
from gridhaul.transfer.errors import TargetUnavailable


class Folders:
    """Makes folders, and knows those that it made or saw."""

    def __init__(self, session: HttpSession, lookup: Lookup) -> None:
        self._session = session
        self._lookup = lookup
        self._known: set[str] = set()
        self._making = asyncio.Lock()

    def forget(self) -> None:
        """Take no folder for known: somebody may have removed one."""
        self._known.clear()

    async def make(self, name: str) -> None:
        """Make every folder of the name that is missing.

        If a folder cannot be made, a known one above it may have been removed, so all are then made anew.
        Raises TargetRefused if a file stands where a folder is needed.
        """
        async with self._making:  # so that requests at the same time do not all make the same folder
            await self._make(name)

    async def _make(self, name: str) -> None:
        if not await self._make_missing(name):
            self.forget()
            if not await self._make_missing(name):
                raise TargetUnavailable("The object's folder at the target was removed while it was made.")

    async def _make_missing(self, name: str) -> bool:
        """Make the folders that are not known. Return False if a folder is missing above one of them."""
        folders, _ = split_name(name)
        for depth in range(1, len(folders) + 1):
            folder = "/".join(folders[:depth])
            if folder not in self._known:
                if not await self._make_one(folder):
                    return False
                self._known.add(folder)
        return True

    async def _make_one(self, folder: str) -> bool:
        answer = await self._session.request("MKCOL", f"{self._session.url(folder)}/")
        if answer.status == http.HTTPStatus.CREATED:
            return True
        # Servers refuse MKCOL alike where a folder has the name and where a file has it.
        found = await self._lookup.look(folder)
        if found is not None and not found.is_folder:
            raise file_for_folder(folder)
        if found is None and answer.status not in (http.HTTPStatus.CONFLICT, http.HTTPStatus.NOT_FOUND):
            raise answer.error()
        return found is not None

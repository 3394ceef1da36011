"""The entry under a name at a WebDAV server: told by PROPFIND, or by HEAD where the server has no PROPFIND."""

import http

from gridhaul.targets.http_errors import name_of_folder
from gridhaul.targets.http_session import FOUND, GONE, WRITE_ONLY, Answer, HttpSession
from gridhaul.targets.names import split_name
from gridhaul.targets.webdav.multistatus import Entry, entry
from gridhaul.transfer.errors import TargetRefused, TargetUnavailable

ASK = (
    b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><quota-available-bytes/></prop></propfind>"
)
ASK_FOR_ETAG = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><resourcetype/><getetag/></prop></propfind>'
HEADERS = {"Depth": "0", "Content-Type": "application/xml"}
FOLDER = Entry(is_folder=True)
# Answers to PROPFIND below a file, by which servers mean that nothing can be there.
BELOW_FILE = frozenset({http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.FORBIDDEN, http.HTTPStatus.CONFLICT})


class Lookup:
    """Questions to one server about names."""

    def __init__(self, session: HttpSession) -> None:
        self._session = session
        self.has_propfind = True  # False: the probe saw that the server refuses PROPFIND

    async def look(self, name: str) -> Entry | None:
        """Return the entry under the name; None if there is none. The name "" is the top.

        Raises TargetRefused if PROPFIND shows a file where the name needs a folder. Raises TargetUnavailable if the
        server refuses PROPFIND although the probe saw it answer: HEAD could take a folder for an object.
        """
        if not self.has_propfind:
            return await self._look_by_head(name)
        answer = await self._propfind(self._session.folder_url(name))
        return await self._told(name, answer)

    async def look_for_object(self, name: str) -> Entry | None:
        """Return the object's entry; None if there is no object. Raises NotAnObject if a folder has the name."""
        found = await self.look(name)
        if found is not None and found.is_folder:
            raise name_of_folder()
        return found

    async def etag(self, name: str) -> str | None:
        """Return the property `getetag` of the object; None if there is no object, no such property, or no answer.

        `look` does not ask for it, because some servers hash the object to make it. HEAD is not asked, because an ETag
        of HTTP may be of another form of the object, and may be alike for objects of one length and second.
        """
        if not self.has_propfind:
            return None
        answer = await self._propfind(self._session.folder_url(name), ask=ASK_FOR_ETAG)
        found = entry(answer.body) if answer.status == http.HTTPStatus.MULTI_STATUS else None
        return None if found is None or found.is_folder else found.etag

    async def refuses_propfind(self) -> bool:
        """Return whether the server answers a PROPFIND for the top as if it did not know the method."""
        return (await self._propfind(self._session.folder_url(""))).status in WRITE_ONLY

    async def free_bytes(self) -> int | None:
        """Return how many bytes the server can still store; None if it does not tell (RFC 4331)."""
        if not self.has_propfind:
            return None
        answer = await self._propfind(f"{self._session.folder_url('')}/")
        top = entry(answer.body) if answer.status == http.HTTPStatus.MULTI_STATUS else None
        return None if top is None else top.free_bytes

    async def _propfind(self, url: str, *, ask: bytes = ASK) -> Answer:
        return await self._session.request("PROPFIND", url, headers=HEADERS, content=ask)

    async def _told(self, name: str, answer: Answer) -> Entry | None:
        if answer.status in GONE:
            return None
        if answer.status == http.HTTPStatus.MULTI_STATUS:
            return entry(answer.body)
        if answer.leads_to_folder(self._session.folder_url(name)):
            return FOLDER
        if answer.status in WRITE_ONLY:
            raise TargetUnavailable("The target's server refuses PROPFIND, which it had before.")
        if answer.status in BELOW_FILE and name:
            await self._refuse_below_file(name)
        raise answer.error()

    async def _refuse_below_file(self, name: str) -> None:
        """Raise TargetRefused if a file stands where the name has a folder."""
        folders, _ = split_name(name)
        for depth in range(1, len(folders) + 1):
            folder = "/".join(folders[:depth])
            above = await self.look(folder)
            if above is None:
                return
            if not above.is_folder:
                raise file_for_folder(folder)

    async def _look_by_head(self, name: str) -> Entry | None:
        url = self._session.folder_url(name)
        answer = await self._session.request("HEAD", url)
        if answer.status in GONE:
            return None
        if answer.leads_to_folder(url):
            return FOLDER
        if answer.status not in FOUND:
            raise answer.error()
        # HEAD may also succeed for a folder. With a `/` at its end it succeeds only for folders, at all servers without
        # PROPFIND that were tried.
        as_folder = await self._session.request("HEAD", f"{url}/")
        return FOLDER if as_folder.status in FOUND else Entry(is_folder=False, length=answer.length)


def file_for_folder(folder: str) -> TargetRefused:
    """Return the error for a file that stands where an object's name has a folder."""
    return TargetRefused(f"The target has a file under {folder!r}, where a folder is needed; choose another name.")

"""Questions to one bucket about names: which are taken, and which the server does not take."""

import http
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

from gridhaul.targets.http_errors import name_of_folder
from gridhaul.targets.http_session import FOUND, Answer
from gridhaul.targets.names import split_name
from gridhaul.targets.s3.bucket import Bucket
from gridhaul.targets.s3.errors import error_of
from gridhaul.targets.s3.facts import Seen
from gridhaul.targets.s3.keys import is_plain
from gridhaul.transfer.errors import OutcomeUnknown, TargetRefused, TargetUnavailable


class Lookup:
    """Looks at names as the facts of the server allow."""

    def __init__(self, bucket: Bucket, seen: Seen) -> None:
        self._bucket = bucket
        self._seen = seen

    def key(self, name: str) -> str:
        """Return the object's key. Raises TargetRefused if the server would not keep the name."""
        if not self._seen.facts.keeps_names and not is_plain(name):
            raise TargetRefused(
                "The target's server loses characters of names other than A-Z, a-z, 0-9, '.', '_', '~' and '-'; choose "
                "another name."
            )
        return self._bucket.key(name)

    async def head(self, name: str) -> Answer | None:
        """Return the answer for the object; None if there is none. Raises OutcomeUnknown if nobody may know."""
        self.key(name)
        answer = await self._bucket.head(name)
        if answer.status == http.HTTPStatus.NOT_FOUND:
            return None
        if answer.status == http.HTTPStatus.FORBIDDEN and not self._seen.facts.tells_missing:
            raise OutcomeUnknown("The target's credentials may not know which objects are missing.")
        if answer.status not in FOUND:
            raise error_of(answer)
        return answer

    async def refuse_folder(self, name: str) -> None:
        """Raise NotAnObject if the name is that of a folder, at a server that has folders."""
        if not self._seen.facts.takes_above_object and self._seen.facts.lists:
            async with aclosing(self._bucket.keys_in(name)) as names:
                async for _ in names:
                    raise name_of_folder()

    @asynccontextmanager
    async def folder_told(self, name: str) -> AsyncIterator[None]:
        """Raise NotAnObject for TargetUnavailable if the name is that of a folder.

        Servers that have folders answer to a change of one as if they were ill, and it would be tried for hours.
        """
        try:
            yield
        except TargetUnavailable:
            await self.refuse_folder(name)
            raise

    async def refuse_object_above(self, name: str) -> None:
        """Raise TargetRefused if an object stands where the name needs a folder, at a server that has folders.

        Such a server answers to the upload as if it were ill, and the delivery would be tried for hours.
        """
        if self._seen.facts.takes_below_object:
            return
        folders, _ = split_name(name)
        for depth in range(1, len(folders) + 1):
            folder = "/".join(folders[:depth])
            with suppress(OutcomeUnknown):
                if await self.head(folder) is not None:
                    raise _object_for_folder(folder)


def _object_for_folder(folder: str) -> TargetRefused:
    return TargetRefused(f"The target has an object under {folder!r}, where a folder is needed; choose another name.")

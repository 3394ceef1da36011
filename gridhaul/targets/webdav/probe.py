"""The probe of a WebDAV server: whether it has PROPFIND and MOVE, and which names it keeps."""

import http
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from urllib.parse import urlsplit

from gridhaul.targets.http_session import REMOVED, STORED, WRITE_ONLY, Answer, HttpSession
from gridhaul.targets.oddities import ODDITIES, Oddity
from gridhaul.targets.probing import cleared_at_the_end
from gridhaul.targets.webdav.lookup import Lookup
from gridhaul.targets.webdav.move import move
from gridhaul.targets.webdav.partial_put import goes_on
from gridhaul.transfer.errors import TargetRefused, TargetUnavailable
from gridhaul.transfer.ports.targets import BeforeWriting, Facts

CONTENT = b"Gridhaul wrote this file to find out what the server does. It may be removed.\n"
PROPFINDS = 3  # how often a server must refuse PROPFIND to be taken for one without it
BUSY = frozenset(
    {http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.GATEWAY_TIMEOUT}
)


class Probe:
    """One probe of one server. Its objects hold 78 bytes, and their names begin with `scratch`."""

    def __init__(self, session: HttpSession, lookup: Lookup, *, bases: Sequence[str], scratch: str) -> None:
        self._session = session
        self._lookup = lookup
        self._bases = bases
        self._scratch = scratch

    async def run(self, before_writing: BeforeWriting) -> Facts:
        """Return the facts. Raises TargetRefused if the server cannot rename, or tells of objects that do not exist."""
        self._lookup.has_propfind = await self._has_propfind()
        if await self._holds(f"{self._scratch}z"):
            raise TargetRefused("The target's server tells of objects that do not exist; Gridhaul cannot use it.")
        await before_writing()
        async with cleared_at_the_end(self.clear):
            return await self._write_and_look()

    async def clear(self) -> None:
        """Remove every object that a probe with this scratch may have written."""
        for name in self._names():
            if await self._holds(name):
                await self._session.delete(name, accepted=REMOVED)

    async def _has_propfind(self) -> bool:
        """Look at the top. Only a server that refuses each of several PROPFINDs is taken for one without it."""
        self._lookup.has_propfind = True
        for _ in range(PROPFINDS):
            if not await self._lookup.refuses_propfind():
                await self._require_folder_at_top()
                return True
        return False

    async def _require_folder_at_top(self) -> None:
        top = await self._lookup.look("")
        if top is None:
            raise TargetUnavailable("The target has no folder at its url; make it there, or correct the url.")
        if not top.is_folder:
            raise TargetRefused("The target has a file at its url; the url must name a folder.")

    async def _write_and_look(self) -> Facts:
        base = await self._choose_base()
        tags = await self._has_tags()
        lost = [oddity.label for number, oddity in enumerate(ODDITIES) if await self._loses(base, number, oddity)]
        return {
            "propfind": self._lookup.has_propfind,
            "destination": base,
            "tags": tags,
            "lost": lost,
            "exclusive": await self._is_exclusive(base),
            "free_space": await self._lookup.free_bytes() is not None,
            "resumable": await goes_on(self._session, f"{self._scratch}p"),
        }

    async def _choose_base(self) -> str:
        """Return what stands before the name in `Destination` when MOVE does what it must."""
        refusals = []
        for base in self._bases:
            answer = await self._move(base, _first(self._scratch), _second(self._scratch))
            moved = answer.status in STORED and await self._holds(_second(self._scratch))
            if moved and not await self._holds(_first(self._scratch)):  # some servers could copy the object instead
                return base
            refusals.append((base, answer.status))
        raise TargetRefused(_no_base(refusals))

    async def _has_tags(self) -> bool:
        """Return whether the server gives two objects of one length different ETags."""
        for name in (_first(self._scratch), _second(self._scratch)):
            await self._put(name)
        first = await self._lookup.etag(_first(self._scratch))
        return first is not None and first != await self._lookup.etag(_second(self._scratch))

    async def _is_exclusive(self, base: str) -> bool:
        """Return whether the server refuses to rename an object onto a taken name, and keeps both objects."""
        first, second = _first(self._scratch), _second(self._scratch)
        for name in (first, second):
            await self._put(name)
        answer = await move(self._session, first, second, base=base, overwrite="F")
        if answer.status in BUSY:
            raise answer.error()
        return answer.status not in STORED and await self._holds(first) and await self._holds(second)

    async def _put(self, name: str) -> None:
        put = await self._session.request("PUT", self._session.url(name), content=CONTENT)
        if put.status not in STORED:
            raise put.error()

    async def _loses(self, base: str, number: int, oddity: Oddity) -> bool:
        """Return whether the server does not keep a name with the oddity."""
        name, mangled = _odd_names(self._scratch, number, oddity)
        answer = await self._move(base, _first(self._scratch), name)
        kept = answer.status in STORED and await self._holds(name)
        return not kept or (mangled is not None and await self._holds(mangled))

    async def _move(self, base: str, source: str, destination: str) -> Answer:
        """Write an object and rename it; return the answer to MOVE. After a server error, try once more."""
        answer = await self._move_once(base, source, destination)
        if answer.status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return answer
        return await self._move_once(base, source, destination)

    async def _move_once(self, base: str, source: str, destination: str) -> Answer:
        """Do what `_move` says, once. Raises TargetUnavailable if the server is busy."""
        await self._put(source)
        answer = await move(self._session, source, destination, base=base, overwrite="T")
        if answer.status in BUSY:
            raise answer.error()
        return answer

    async def _holds(self, name: str) -> bool:
        """Return whether the server has an object under the name; False also if it refuses the name."""
        with suppress(TargetRefused):
            return await self._lookup.look_for_object(name) is not None
        return False

    def _names(self) -> list[str]:
        odd = [_odd_names(self._scratch, number, oddity) for number, oddity in enumerate(ODDITIES)]
        # A proxy that cuts a prefix from the path lets the server move the object into a folder of that name.
        prefixes = {urlsplit(base).path.strip("/") for base in self._bases} - {""}
        elsewhere = [f"{prefix}/{_second(self._scratch)}" for prefix in sorted(prefixes)]
        return [*(f"{self._scratch}{end}" for end in "abp"), *filter(None, chain.from_iterable(odd)), *elsewhere]


def _first(scratch: str) -> str:
    return f"{scratch}a"


def _second(scratch: str) -> str:
    return f"{scratch}b"


def _odd_names(scratch: str, number: int, oddity: Oddity) -> tuple[str, str | None]:
    """Return a name with the oddity, and the name under which a server that loses the oddity may store the object."""
    beginning = f"{scratch}{number}"
    return f"{beginning}{oddity.example}", None if oddity.mangled is None else f"{beginning}{oddity.mangled}"


def _no_base(refusals: Sequence[tuple[str, int]]) -> str:
    if all(status in WRITE_ONLY for _, status in refusals):
        return f"The target cannot rename: it answered {refusals[0][1]} to MOVE. Use the kind http for it."
    answers = ", ".join(f"{status} with {base or '/'}" for base, status in refusals)
    return (
        f"The target does not rename an object, however the Destination header is written ({answers}). If a proxy "
        "before it changes the address, set `destination` of the target to the address that the server itself sees."
    )

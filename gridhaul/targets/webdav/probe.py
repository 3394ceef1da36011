"""The probe of a WebDAV server: whether it has PROPFIND and MOVE, and which names it keeps."""

import http
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from gridhaul.targets.http_session import REMOVED, STORED, WRITE_ONLY, Answer, HttpSession
from gridhaul.targets.names import quote_name
from gridhaul.targets.webdav.lookup import Lookup
from gridhaul.targets.webdav.oddities import ODDITIES, Oddity
from gridhaul.transfer.errors import GridhaulError, TargetRefused, TargetUnavailable
from gridhaul.transfer.ports.targets import Facts

CONTENT = b"Gridhaul wrote this file to find out what the server does. It may be removed.\n"
BUSY = frozenset(
    {http.HTTPStatus.TOO_MANY_REQUESTS, http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.GATEWAY_TIMEOUT}
)

DestinationForm = Literal["auto", "url", "path"]


def destination_bases(url: str, form: str) -> tuple[str, ...]:
    """Return what may stand before an object's name in the `Destination` header (RFC 4918, 10.3), best first.

    `form` is a `DestinationForm`, or the address that the server itself sees. A server behind a proxy that ends TLS
    sees `http` where the client's URL has `https`.
    """
    path = urlsplit(url).path.rstrip("/")
    if form == "url":
        return (url,)
    if form == "path":
        return (path,)
    if form != "auto":
        return (form.rstrip("/"),)
    return (url, path, f"http{url[5:]}") if url.startswith("https:") else (url, path)


def scratch_names(scratch: str) -> tuple[str, ...]:
    """Return every name that a probe with this scratch may leave at the server."""
    odd = [name for number, oddity in enumerate(ODDITIES) for name in _odd_names(scratch, number, oddity) if name]
    return (_first(scratch), _second(scratch), *odd)


class Probe:
    """One probe of one server. Its objects hold 78 bytes, and their names begin with `scratch`."""

    def __init__(self, session: HttpSession, lookup: Lookup, *, bases: Sequence[str], scratch: str) -> None:
        self._session = session
        self._lookup = lookup
        self._bases = bases
        self._scratch = scratch
        self._written: set[str] = set()

    async def run(self) -> Facts:
        """Return the facts `propfind`, `destination` and `lost`. Raises TargetRefused if the server cannot rename."""
        await self._see_top()
        try:
            base = await self._choose_base()
            lost = [oddity.label for number, oddity in enumerate(ODDITIES) if await self._loses(base, number, oddity)]
        except GridhaulError:
            with suppress(GridhaulError):  # the names stay among the delivery's leftovers
                await self._remove_written()
            raise
        await self._remove_written()
        return {"propfind": self._lookup.has_propfind, "destination": base, "lost": lost}

    async def _see_top(self) -> None:
        self._lookup.has_propfind = True
        try:
            top = await self._lookup.look("")
        except TargetRefused:
            if self._lookup.has_propfind:
                raise
            return  # without PROPFIND many servers refuse to show a folder
        if top is None and self._lookup.has_propfind:
            raise TargetUnavailable("The target has no folder at its url; make it there, or correct the url.")
        if top is not None and not top.is_folder and self._lookup.has_propfind:
            raise TargetRefused("The target has a file at its url; the url must name a folder.")

    async def _choose_base(self) -> str:
        """Return what stands before the name in `Destination` when MOVE does what it must."""
        refusals = []
        for base in self._bases:
            answer = await self._move(base, _first(self._scratch), _second(self._scratch))
            if answer.status in STORED and await self._holds(_second(self._scratch)):
                return base
            # A proxy that cuts a prefix from the path lets the server move the object into a folder of that name.
            self._written.add(f"{urlsplit(base).path.strip('/')}/{_second(self._scratch)}".lstrip("/"))
            refusals.append((base, answer.status))
        raise TargetRefused(_no_base(refusals))

    async def _loses(self, base: str, number: int, oddity: Oddity) -> bool:
        """Return whether the server does not keep a name with the oddity."""
        name, mangled = _odd_names(self._scratch, number, oddity)
        self._written.update(filter(None, (name, mangled)))
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
        self._written.update((source, destination))
        put = await self._session.request("PUT", self._session.url(source), content=CONTENT)
        if put.status not in STORED:
            raise put.error()
        headers = {"Destination": f"{base}/{quote_name(destination)}", "Overwrite": "T"}
        answer = await self._session.request("MOVE", self._session.url(source), headers=headers)
        if answer.status in BUSY:
            raise answer.error()
        return answer

    async def _holds(self, name: str) -> bool:
        """Return whether the server has an object under the name; False also if it refuses the name."""
        with suppress(TargetRefused):
            return await self._lookup.look_for_object(name) is not None
        return False

    async def _remove_written(self) -> None:
        for name in sorted(self._written):
            if await self._holds(name):
                removed = await self._session.request("DELETE", self._session.url(name))
                if removed.status not in REMOVED:
                    raise removed.error()


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

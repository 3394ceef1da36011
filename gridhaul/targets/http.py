"""A plain HTTP server that takes PUT: each object is sent once, straight to its final name, and not atomically."""

import http
from collections.abc import Mapping

from gridhaul.outgoing.headers import read_repr_digest
from gridhaul.targets.http_session import GONE, STORED, WRITE_ONLY, HttpSession
from gridhaul.targets.remote_object import judge
from gridhaul.transfer.errors import Malformed, OutcomeUnknown
from gridhaul.transfer.model import RemoteObject
from gridhaul.transfer.ports.targets import Blocks, Leaving

WANT_DIGEST = {"Want-Repr-Digest": "sha-256=10"}
REMOVED = STORED | GONE | WRITE_ONLY | {http.HTTPStatus.ACCEPTED, http.HTTPStatus.FORBIDDEN}


class HttpTarget:
    """See `transfer.ports.targets.Target`. A reader may see a part of an object while it is written."""

    def __init__(self, *, name: str, session: HttpSession) -> None:
        self.name = name
        self._session = session

    def location(self, name: str) -> str:
        return self._session.url(name)

    async def inspect(self, name: str, *, length: int) -> RemoteObject | None:
        head = await self._session.head(name, length=length, headers=WANT_DIGEST)
        if head.status in WRITE_ONLY:
            raise OutcomeUnknown("The target can only be written to; what it holds is not known.")
        return await judge(self._session, name, head, length=length, sha256=repr_digest(head.headers))

    async def put(self, name: str, blocks: Blocks, *, length: int, leaving: Leaving) -> None:
        answer = await self._session.send(name, blocks, length=length, leaving=leaving)
        if answer.status not in STORED:
            raise answer.error()

    async def remove(self, name: str) -> None:
        """Remove the object where the server allows it."""
        answer = await self._session.request("DELETE", self.location(name))
        if answer.status not in REMOVED:
            raise answer.error()

    async def close(self) -> None:
        await self._session.close()


def repr_digest(headers: Mapping[str, str]) -> str | None:
    """Return the SHA-256 of `Repr-Digest` (RFC 9530) in hex; None if the response has no usable one."""
    try:
        return read_repr_digest(headers.get("Repr-Digest", ""))
    except Malformed:
        return None

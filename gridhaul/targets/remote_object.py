"""From what a server says of an object to what is known of it."""

import http

from gridhaul.targets.http_session import GONE, Answer, HttpSession
from gridhaul.transfer.model import Evidence, RemoteObject

FOUND = frozenset({http.HTTPStatus.OK, http.HTTPStatus.NO_CONTENT})


async def judge(
    session: HttpSession, name: str, head: Answer, *, length: int, sha256: str | None
) -> RemoteObject | None:
    """What is under the name, from its `head` and the digest found there; without one it is read back."""
    if head.status in GONE:
        return None
    if head.status not in FOUND:
        raise head.error()
    if head.length is not None and head.length != length:
        return RemoteObject(length=head.length, sha256="", evidence=Evidence.SIZE)
    if head.length is not None and sha256 is not None:
        return RemoteObject(length=length, sha256=sha256, evidence=Evidence.REMOTE_DIGEST)
    return await session.read_back(name, length=length)

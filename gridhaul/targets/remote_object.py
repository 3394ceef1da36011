"""Turns a server's answer about an object into a `RemoteObject`."""

import http

from gridhaul.targets.http_session import GONE, Answer, HttpSession
from gridhaul.transfer.model import Evidence, RemoteObject

FOUND = frozenset({http.HTTPStatus.OK, http.HTTPStatus.NO_CONTENT})


async def judge(
    session: HttpSession, name: str, head: Answer, *, length: int, sha256: str | None
) -> RemoteObject | None:
    """Return what the server holds under the name; None if it holds nothing.

    `head` is the answer to HEAD for the object, and `sha256` the digest found in this answer. The object is read back
    if the answer has no length, or has the expected length but no digest.
    """
    if head.status in GONE:
        return None
    if head.status not in FOUND:
        raise head.error()
    if head.length is not None and head.length != length:
        return RemoteObject(length=head.length, sha256="", evidence=Evidence.SIZE)
    if head.length is not None and sha256 is not None:
        return RemoteObject(length=length, sha256=sha256, evidence=Evidence.REMOTE_DIGEST)
    return await session.read_back(name, length=length)

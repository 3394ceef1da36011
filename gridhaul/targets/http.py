"""A plain HTTP server that takes PUT: each object is sent once, straight to its final name, and not atomically."""

import http
from collections.abc import Mapping

from gridhaul.outgoing.headers import read_repr_digest
from gridhaul.targets.http_errors import name_of_folder
from gridhaul.targets.http_session import FOUND, GONE, REMOVED, STORED, WRITE_ONLY, Answer, HttpSession
from gridhaul.targets.names import split_name
from gridhaul.transfer.abilities import Abilities
from gridhaul.transfer.digest import fingerprint
from gridhaul.transfer.errors import Malformed, OutcomeUnknown, TargetRefused
from gridhaul.transfer.model import Evidence, RemoteObject
from gridhaul.transfer.ports.targets import Blocks, Checked, Leaving

WANT_DIGEST = {"Want-Repr-Digest": "sha-256=10"}
REMOVED_OR_KEPT = REMOVED | WRITE_ONLY | {http.HTTPStatus.FORBIDDEN}
SAME_OBJECT = ("Content-Length", "ETag", "Last-Modified", "Repr-Digest")  # header fields that are alike for one object


class HttpTarget:
    """See `transfer.ports.targets`: `Target`, `DirectPut` and `Fingerprinted`.

    A reader may see a part of an object while it is written. This kind is not probed, because some servers would keep
    the probe's objects. So nobody knows whether the server compares digests, and `Repr-Digest` counts only if an
    operator vouches for it (`repr_digest`).
    """

    def __init__(self, *, name: str, session: HttpSession, repr_digest: bool = False) -> None:
        self.abilities = Abilities()
        self.name = name
        self.fingerprint = http_fingerprint(session.folder_url(""))
        self._session = session
        self._repr_digest = repr_digest

    def location(self, name: str) -> str:
        return self._session.url(name)

    async def find(self, name: str, *, length: int) -> RemoteObject | None:
        head = await self._session.head(name, length=length, headers=WANT_DIGEST)
        if head.status in WRITE_ONLY:
            raise OutcomeUnknown("The target can only be written to; what it holds is not known.")
        if head.status in GONE:
            return None
        if head.leads_to_folder(self.location(name)):
            raise name_of_folder()
        if head.status not in FOUND:
            raise head.error()
        await self._refuse_object_above(name, head, length=length)
        sha256 = repr_digest(head.headers) if self._repr_digest else None
        if sha256 is not None:
            return RemoteObject(length=head.length, sha256=sha256, evidence=Evidence.REMOTE_DIGEST)
        evidence = Evidence.ACKNOWLEDGED if head.length is None else Evidence.SIZE
        return RemoteObject(length=head.length, sha256="", evidence=evidence)

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        return await self._session.read_back(name, length=length, sha256=sha256, checked=checked)

    async def put(self, name: str, blocks: Blocks, *, length: int, leaving: Leaving) -> None:
        answer = await self._session.send(name, blocks, length=length, leaving=leaving)
        if answer.leads_to_folder(self.location(name)):
            raise name_of_folder()
        if answer.status not in STORED:
            raise answer.error()

    async def remove(self, name: str) -> None:
        """Remove the object where the server allows it."""
        await self._session.delete(name, accepted=REMOVED_OR_KEPT)

    async def close(self) -> None:
        await self._session.close()

    async def _refuse_object_above(self, name: str, head: Answer, *, length: int) -> None:
        """Raise TargetRefused if the answer to HEAD for `a/b` can be about the object `a`.

        Servers that take the rest of a path for PATH_INFO (CGI) answer below a file with the file itself.
        """
        folders, _ = split_name(name)
        if not folders:
            return
        folder = "/".join(folders)
        above = await self._session.head(folder, length=length, headers=WANT_DIGEST)
        if above.status in FOUND and all(above.headers.get(field) == head.headers.get(field) for field in SAME_OBJECT):
            raise TargetRefused(
                f"The target answers for this name as for {folder!r}: a file seems to stand where a folder is needed; "
                "choose another name."
            )


def http_fingerprint(url: str) -> str:
    return fingerprint("http", url.rstrip("/"))


def repr_digest(headers: Mapping[str, str]) -> str | None:
    """Return the SHA-256 of `Repr-Digest` (RFC 9530) in hex; None if the response has no usable one."""
    try:
        return read_repr_digest(headers.get("Repr-Digest", ""))
    except Malformed:
        return None

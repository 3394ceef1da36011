"""Requests to one HTTP target: object names become URLs, blocks become bodies, responses become answers or errors."""

import asyncio
import http
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import httpx2

from gridhaul.outgoing.http_client import patience
from gridhaul.outgoing.sending import Body
from gridhaul.targets.http_errors import mapped_errors, refusal
from gridhaul.targets.names import quote_name
from gridhaul.targets.webdav.multistatus import failure
from gridhaul.transfer.decimals import decimal_number
from gridhaul.transfer.digest import ContentDigest
from gridhaul.transfer.errors import GridhaulError, OutcomeUnknown
from gridhaul.transfer.model import Evidence, RemoteObject
from gridhaul.transfer.ports.targets import Blocks, Checked, Leaving

HASHED_AT_ONCE_BYTES = 4 << 20  # how much of an object one call in a thread hashes
BODY_MOST_BYTES = 1 << 16  # most bytes kept of a body that is no object; a longer one is cut and its connection closed
SERVER_BYTES_PER_SECOND = 20 << 20  # the slowest rate at which a server may hash or store an object before it answers
EXPLAIN_SECONDS = 5.0  # how long to ask the target why it broke off a PUT

GONE = frozenset({http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE})
WRITE_ONLY = frozenset({http.HTTPStatus.METHOD_NOT_ALLOWED, http.HTTPStatus.NOT_IMPLEMENTED})
FOUND = frozenset({http.HTTPStatus.OK, http.HTTPStatus.NO_CONTENT})
STORED = frozenset({http.HTTPStatus.OK, http.HTTPStatus.CREATED, http.HTTPStatus.NO_CONTENT})
REMOVED = STORED | GONE | {http.HTTPStatus.ACCEPTED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A response whose body was read, up to a limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def error(self) -> GridhaulError:
        """Return the error that an unexpected status stands for, or that a multi-status response tells."""
        told = failure(self.body) if self.status == http.HTTPStatus.MULTI_STATUS else None
        return told or refusal(self.status, self.headers)

    @property
    def length(self) -> int | None:
        """`Content-Length` in bytes; None if the header is missing, or is no number of up to 18 digits.

        It is also None if the body has a content coding, because then it is not the length of the stored object.
        """
        if "Content-Encoding" in self.headers:
            return None
        return decimal_number(self.headers.get("Content-Length", ""))

    def leads_to_folder(self, url: str) -> bool:
        """Return whether the answer redirects from the URL to the same path with a `/` at its end: a folder's name."""
        if not http.HTTPStatus.MULTIPLE_CHOICES <= self.status < http.HTTPStatus.BAD_REQUEST:
            return False
        location = urlsplit(self.headers.get("Location", "")).path
        return unquote(location) == f"{unquote(urlsplit(url).path)}/"


class HttpSession:
    """The connections to one target. Every request may raise TargetUnavailable or TargetRefused."""

    def __init__(
        self, client: httpx2.AsyncClient, *, url: str, authorization: str | None, auth: httpx2.Auth | None = None
    ) -> None:
        """`authorization` is the same for all requests; `auth` signs each request right before it leaves."""
        self._client = client
        self._auth = auth
        self._url = url.rstrip("/")
        self._headers = {"Accept-Encoding": "identity"}  # a content coding would change lengths and digests
        if authorization is not None:
            self._headers["Authorization"] = authorization

    def url(self, name: str) -> str:
        """Return the object's URL, without credentials."""
        return f"{self._url}/{quote_name(name)}"

    def folder_url(self, folder: str) -> str:
        """Return the folder's URL without a `/` at its end; the folder "" is the top."""
        return self.url(folder) if folder else self._url

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        busy_bytes: int = 0,
        most_bytes: int = BODY_MOST_BYTES,
    ) -> Answer:
        """Send a request with a small body or none, and return the answer with at most `most_bytes` of its body.

        The server may first have to handle `busy_bytes` bytes of an object.
        """
        with mapped_errors():
            async with self._open(
                method, url, headers=headers or {}, content=content, busy_bytes=busy_bytes
            ) as response:
                return await _read(response, most_bytes)

    async def delete(self, name: str, *, accepted: frozenset[int]) -> None:
        """Send DELETE for the object. Raises the error of an answer whose status is not `accepted`."""
        answer = await self.request("DELETE", self.url(name))
        if answer.status not in accepted:
            raise answer.error()

    async def parts(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes
    ) -> AsyncGenerator[bytes]:
        """Yield the parts of a multi-status response of any length; yield none if the target has nothing at the URL."""
        with mapped_errors():
            async with self._open(method, url, headers=headers, content=content) as response:
                if response.status_code in GONE:
                    return
                if response.status_code != http.HTTPStatus.MULTI_STATUS:
                    raise refusal(response.status_code, response.headers)
                async for part in response.aiter_raw(BODY_MOST_BYTES):
                    yield part

    async def head(self, name: str, *, length: int, headers: Mapping[str, str]) -> Answer:
        """Return the answer to HEAD. The server may first have to hash the object's `length` bytes."""
        with mapped_errors():
            async with self._open("HEAD", self.url(name), headers=headers, busy_bytes=length) as response:
                return await _read(response)

    async def send(
        self, name: str, blocks: Blocks, *, length: int, leaving: Leaving, content_range: str | None = None
    ) -> Answer:
        """PUT the blocks as `transfer.ports.targets.DirectPut.put` says, and return the answer.

        `content_range` is the header field of a partial PUT (RFC 9110, 14.5); None: the blocks are the whole object.
        Exceptions of `blocks` and `leaving` pass through unchanged.
        """
        body = Body(blocks, leaving=leaving, stop=blocks.stop)
        headers = {"Content-Type": "application/octet-stream"}
        headers |= {} if content_range is None else {"Content-Range": content_range}
        try:
            return await self.send_body(self.url(name), body, length=length, headers=headers)
        except GridhaulError as error:
            if body.failure is not None:
                raise
            raise await self._refused_early(name) or error from None

    async def send_body(self, url: str, body: Body, *, length: int, headers: Mapping[str, str]) -> Answer:
        """PUT the body, and return the answer. Exceptions of its blocks and of its `leaving` pass through unchanged."""
        all_headers = {"Content-Length": str(length), **headers}
        try:
            with mapped_errors():
                async with self._open("PUT", url, headers=all_headers, body=body, busy_bytes=length) as response:
                    return await _read(response)
        except GridhaulError:
            if body.failure is not None:  # the caller's exception, which the HTTP libraries may have wrapped
                raise body.failure from body.failure.__cause__
            raise

    async def read_back(self, name: str, *, length: int, sha256: str, checked: Checked) -> RemoteObject | None:
        """Do what `transfer.ports.targets.Target.read_back` says, with GET.

        A server may label stored bytes with `Content-Encoding`, or encode them for this answer. Only the expected
        length and digest show which.
        """
        with mapped_errors():
            async with self._open("GET", self.url(name), headers={}) as response:
                if response.status_code in GONE:
                    return None
                if response.status_code in WRITE_ONLY:
                    raise OutcomeUnknown("The target does not give back what it holds.")
                if response.status_code != http.HTTPStatus.OK:
                    raise refusal(response.status_code, response.headers)
                found = await _read_object(response, length=length, checked=checked)
        if "Content-Encoding" in response.headers and (found.length, found.sha256) != (length, sha256):
            raise OutcomeUnknown("The target gives the object back only in a content coding.")
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _refused_early(self, name: str) -> GridhaulError | None:
        """Return the refusal if the target broke off a PUT because of the credentials, else None.

        A server that refuses a PUT before it has read the body closes the connection, and its response is often lost.
        A HEAD request for the same object is refused with the same status.
        """
        try:
            async with asyncio.timeout(EXPLAIN_SECONDS):
                answer = await self.request("HEAD", self.url(name))
        except (GridhaulError, TimeoutError):
            return None
        return answer.error() if answer.status == http.HTTPStatus.UNAUTHORIZED else None

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | None = None,
        body: Body | None = None,
        busy_bytes: int = 0,
    ) -> AsyncGenerator[httpx2.Response]:
        """Yield the response with its body unread; wait longer for a server that first handles `busy_bytes` bytes."""
        timeout = patience(self._client, max(0, busy_bytes) / SERVER_BYTES_PER_SECOND)
        all_headers = {**self._headers, **headers}
        request = self._client.build_request(method, url, headers=all_headers, content=content, timeout=timeout)
        if body is not None:
            request.stream = body
        response = await self._client.send(request, stream=True, auth=self._auth)
        try:
            yield response
        finally:
            await response.aclose()


async def _read_object(response: httpx2.Response, *, length: int, checked: Checked) -> RemoteObject:
    """Read the body, but stop as soon as it has more than `length` bytes; the digest is "" then."""
    arrived = _Arrived()
    async with aclosing(response.aiter_raw()) as pieces:
        async for piece in pieces:
            await arrived.add(piece)
            checked(arrived.length_bytes)
            if arrived.length_bytes > length:
                return RemoteObject(length=arrived.length_bytes, sha256="", evidence=Evidence.READ_BACK)
    sha256 = await arrived.sha256()
    return RemoteObject(length=arrived.length_bytes, sha256=sha256, evidence=Evidence.READ_BACK)


class _Arrived:
    """Length and SHA-256 of the bytes that have arrived. A thread hashes them while more arrive."""

    def __init__(self) -> None:
        self._total = ContentDigest()
        self._pieces: list[bytes] = []
        self._unhashed_bytes = 0
        self._hashing: asyncio.Task[None] | None = None
        self.length_bytes = 0

    async def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._unhashed_bytes += len(piece)
        self.length_bytes += len(piece)
        if self._unhashed_bytes >= HASHED_AT_ONCE_BYTES:
            await self._hashed()
            pieces, self._pieces, self._unhashed_bytes = self._pieces, [], 0
            self._hashing = asyncio.create_task(asyncio.to_thread(self._update, pieces))

    async def sha256(self) -> str:
        await self._hashed()
        await asyncio.to_thread(self._update, self._pieces)
        return self._total.hexdigest()

    async def _hashed(self) -> None:
        if self._hashing is not None:
            await self._hashing

    def _update(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._total.update(piece)


async def _read(response: httpx2.Response, most_bytes: int = BODY_MOST_BYTES) -> Answer:
    body = bytearray()
    async with aclosing(response.aiter_raw(BODY_MOST_BYTES)) as parts:
        async for part in parts:
            body += part
            if len(body) >= most_bytes:
                break
    return Answer(status=response.status_code, headers=response.headers, body=bytes(body[:most_bytes]))

"""Requests to one HTTP target: names to addresses, blocks to bodies, answers to statuses."""

import asyncio
import http
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import httpx2

from gridhaul.outgoing.http_client import patience
from gridhaul.outgoing.sending import Body
from gridhaul.targets.http_errors import mapped_errors, refusal
from gridhaul.targets.names import quote_name
from gridhaul.transfer.digest import ContentDigest
from gridhaul.transfer.errors import GridhaulError, OutcomeUnknown
from gridhaul.transfer.model import Evidence, RemoteObject
from gridhaul.transfer.ports import Blocks, Leaving

HASHED_AT_ONCE_BYTES = 4 << 20
BODY_MOST_BYTES = 1 << 16  # of answers that are not objects; beyond it the connection is given up
SERVER_BYTES_PER_SECOND = 20 << 20  # how slowly a server may hash or store an object before it answers
EXPLAIN_SECONDS = 5.0  # how long to ask why a sending broke off

GONE = frozenset({http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE})
WRITE_ONLY = frozenset({http.HTTPStatus.METHOD_NOT_ALLOWED, http.HTTPStatus.NOT_IMPLEMENTED})
STORED = frozenset({http.HTTPStatus.OK, http.HTTPStatus.CREATED, http.HTTPStatus.NO_CONTENT})


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def error(self) -> GridhaulError:
        """The error that this answer is, where it is none of those that were hoped for."""
        return refusal(self.status, self.headers)

    @property
    def length(self) -> int | None:
        value = self.headers.get("Content-Length", "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None


class HttpSession:
    """The connections to one target. Raises TargetUnavailable and TargetRefused."""

    def __init__(self, client: httpx2.AsyncClient, *, url: str, authorization: str | None) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._headers = {"Accept-Encoding": "identity"}  # digests and lengths are those of the object itself
        if authorization is not None:
            self._headers["Authorization"] = authorization

    def url(self, name: str) -> str:
        """The object's address, without credentials."""
        return f"{self._url}/{quote_name(name)}"

    def folder_url(self, folder: str) -> str:
        """The folder's address without a `/` at its end; "" is the top."""
        return self.url(folder) if folder else self._url

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Answer:
        """One request with a small body or none."""
        with mapped_errors():
            async with self._open(method, url, headers=headers or {}, content=content) as response:
                return await _read(response)

    async def parts(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes
    ) -> AsyncGenerator[bytes]:
        """The parts of a multi-status answer of any length; none if nothing is at the address."""
        with mapped_errors():
            async with self._open(method, url, headers=headers, content=content) as response:
                if response.status_code in GONE:
                    return
                if response.status_code != http.HTTPStatus.MULTI_STATUS:
                    raise refusal(response.status_code, response.headers)
                async for part in response.aiter_raw(BODY_MOST_BYTES):
                    yield part

    async def head(self, name: str, *, length: int, headers: Mapping[str, str]) -> Answer:
        """What the server says of the object; it may first have to hash its `length` bytes."""
        with mapped_errors():
            async with self._open("HEAD", self.url(name), headers=headers, busy_bytes=length) as response:
                return await _read(response)

    async def send(self, name: str, blocks: Blocks, *, length: int, leaving: Leaving) -> Answer:
        """PUT the blocks, as `transfer.ports.Target.put` does. Errors of both pass through unchanged."""
        body = Body(blocks, leaving=leaving, stop=blocks.stop)
        headers = {"Content-Length": str(length), "Content-Type": "application/octet-stream"}
        try:
            with mapped_errors():
                async with self._open("PUT", self.url(name), headers=headers, body=body, busy_bytes=length) as response:
                    return await _read(response)
        except GridhaulError as error:
            if body.failure is not None:  # pass it through as it was raised, whatever the libraries made of it
                raise body.failure from body.failure.__cause__
            raise await self._refused_early(name) or error from None

    async def read_back(self, name: str, *, length: int) -> RemoteObject | None:
        """Length and digest of what GET gives. Reading stops past `length` bytes: then the digest is ""."""
        arrived = _Arrived()
        with mapped_errors():
            async with self._open("GET", self.url(name), headers={}) as response:
                if response.status_code in GONE:
                    return None
                if response.status_code in WRITE_ONLY or "Content-Encoding" in response.headers:
                    raise OutcomeUnknown("The target does not give back what it holds.")
                if response.status_code != http.HTTPStatus.OK:
                    raise refusal(response.status_code, response.headers)
                async with aclosing(response.aiter_raw()) as pieces:
                    async for piece in pieces:
                        await arrived.add(piece)
                        if arrived.length_bytes > length:
                            return RemoteObject(length=arrived.length_bytes, sha256="", evidence=Evidence.SIZE)
        sha256 = await arrived.sha256()
        return RemoteObject(length=arrived.length_bytes, sha256=sha256, evidence=Evidence.READ_BACK)

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.aclose()

    async def _refused_early(self, name: str) -> GridhaulError | None:
        """Why a sending broke off, if it was for want of credentials.

        A server that refuses before it has read the body closes the connection, and its answer is often lost with it.
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
        """The answer with its body still to be read, waiting for a server that is busy with so many bytes."""
        timeout = patience(self._client, max(0, busy_bytes) / SERVER_BYTES_PER_SECOND)
        all_headers = {**self._headers, **headers}
        request = self._client.build_request(method, url, headers=all_headers, content=content, timeout=timeout)
        if body is not None:
            request.stream = body
        response = await self._client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()


class _Arrived:
    """What has arrived, hashed in a thread while more arrives."""

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


async def _read(response: httpx2.Response) -> Answer:
    body = b""
    async with aclosing(response.aiter_raw(BODY_MOST_BYTES)) as parts:
        async for part in parts:
            body += part
            if len(body) >= BODY_MOST_BYTES:
                break
    return Answer(status=response.status_code, headers=response.headers, body=body[:BODY_MOST_BYTES])
